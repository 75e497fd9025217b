// Forwards a queue to an HTTP target: AMQP_URL, QUEUE, TARGET. Acks a message after a 2xx, else returns it to the queue.
package main

import (
	"bytes"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const inFlight = 64

var client = &http.Client{
	Timeout:   30 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: inFlight},
}

func post(target string, message amqp.Delivery) bool {
	request, err := http.NewRequest("POST", target, bytes.NewReader(message.Body))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Content-Type", message.ContentType)
	request.Header.Set("X-Message-Id", message.MessageId)
	response, err := client.Do(request)
	if err != nil {
		log.Print(err)
		return false
	}
	defer response.Body.Close()
	io.Copy(io.Discard, response.Body)
	return response.StatusCode/100 == 2
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func main() {
	connection := must(amqp.Dial(os.Getenv("AMQP_URL")))
	channel := must(connection.Channel())
	must(0, channel.Qos(inFlight, 0, false))
	deliveries := must(channel.Consume(os.Getenv("QUEUE"), "", false, false, false, false, nil))
	target := os.Getenv("TARGET")
	for range inFlight {
		go func() {
			for message := range deliveries {
				if post(target, message) {
					message.Ack(false)
				} else {
					message.Nack(false, true)
				}
			}
		}()
	}
	log.Fatal(<-connection.NotifyClose(make(chan *amqp.Error)))
}
