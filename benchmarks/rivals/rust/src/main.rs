//! Forwards a queue to an HTTP target: AMQP_URL, QUEUE, TARGET. Acks a message after a 2xx, else returns it to the queue.
use std::env::var;

use futures_lite::StreamExt;
use lapin::{Connection, ConnectionProperties, message::Delivery, options::*, types::FieldTable};

const IN_FLIGHT: u16 = 64;

async fn post(client: &reqwest::Client, target: &str, message: &mut Delivery) -> reqwest::Result<()> {
    let properties = &message.properties;
    let content_type = properties.content_type().as_ref().map_or("application/octet-stream", |text| text.as_str());
    let message_id = properties.message_id().as_ref().map_or("", |text| text.as_str());
    let request = client.post(target).header("content-type", content_type).header("x-message-id", message_id);
    let response = request.body(std::mem::take(&mut message.data)).send().await?.error_for_status()?;
    response.bytes().await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (url, queue, target) = (var("AMQP_URL")?, var("QUEUE")?, var("TARGET")?);
    let client = reqwest::Client::new();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(IN_FLIGHT, BasicQosOptions::default()).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut deliveries = channel.basic_consume(queue.into(), "".into(), options, arguments).await?;
    while let Some(message) = deliveries.next().await {
        let (mut message, client, target) = (message?, client.clone(), target.clone());
        tokio::spawn(async move {
            let settled = match post(&client, &target, &mut message).await {
                Ok(()) => message.ack(BasicAckOptions::default()).await,
                Err(error) => {
                    eprintln!("{error}");
                    message.nack(BasicNackOptions { requeue: true, ..Default::default() }).await
                }
            };
            settled.expect("the connection is open");
        });
    }
    Ok(())
}
