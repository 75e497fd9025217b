// Measures a broker: broker_client <AMQP URL> <scenario> <messages>. Prints messages per second.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	queue    = "benchmark"
	window   = 1000 // messages without their confirm, at most
	prefetch = 200
)

var body = make([]byte, 1024)

// Each returns the seconds that it took for this number of messages.
var scenarios = map[string]func(url string, messages int) float64{
	"publish, transient":             publishTransient,
	"publish, persistent, confirmed": publishConfirmed,
	"consume and ack":                consumeFilled,
	"both":                           both,
}

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func open(url string) *amqp.Channel {
	return must(must(amqp.Dial(url)).Channel())
}

// declare makes an empty queue.
func declare(channel *amqp.Channel, durable bool) {
	must(channel.QueueDelete(queue, false, false, false))
	must(channel.QueueDeclare(queue, durable, false, false, false, nil))
}

func publish(channel *amqp.Channel, mode uint8) {
	message := amqp.Publishing{DeliveryMode: mode, ContentType: "application/octet-stream", Body: body}
	must(0, channel.PublishWithContext(context.Background(), "", queue, false, false, message))
}

func publishTransient(url string, messages int) float64 {
	channel := open(url)
	declare(channel, false)
	began := time.Now()
	for range messages {
		publish(channel, amqp.Transient)
	}
	for must(channel.QueueDeclarePassive(queue, false, false, false, false, nil)).Messages < messages {
		time.Sleep(time.Millisecond)
	}
	return time.Since(began).Seconds()
}

func confirmed(channel *amqp.Channel, messages int) {
	confirms := channel.NotifyPublish(make(chan amqp.Confirmation, window))
	must(0, channel.Confirm(false))
	wait := func() {
		if one := <-confirms; !one.Ack {
			log.Fatalf("message %d was refused", one.DeliveryTag)
		}
	}
	for number := range messages {
		if number >= window {
			wait()
		}
		publish(channel, amqp.Persistent)
	}
	for range min(messages, window) {
		wait()
	}
}

func publishConfirmed(url string, messages int) float64 {
	channel := open(url)
	declare(channel, true)
	began := time.Now()
	confirmed(channel, messages)
	return time.Since(began).Seconds()
}

func consume(channel *amqp.Channel, messages int) {
	must(0, channel.Qos(prefetch, 0, false))
	deliveries := must(channel.Consume(queue, "", false, false, false, false, nil))
	for range messages {
		message := <-deliveries
		must(0, message.Ack(false))
	}
	must(0, channel.Close()) // the broker has read all acks when it answers
}

func consumeFilled(url string, messages int) float64 {
	channel := open(url)
	declare(channel, true)
	confirmed(channel, messages)
	consumer := open(url)
	began := time.Now()
	consume(consumer, messages)
	return time.Since(began).Seconds()
}

func both(url string, messages int) float64 {
	channel, consumer := open(url), open(url)
	declare(channel, true)
	began, done := time.Now(), make(chan bool)
	go func() {
		consume(consumer, messages)
		done <- true
	}()
	confirmed(channel, messages)
	<-done
	return time.Since(began).Seconds()
}

func main() {
	messages := must(strconv.Atoi(os.Args[3]))
	fmt.Println(float64(messages) / scenarios[os.Args[2]](os.Args[1], messages))
}
