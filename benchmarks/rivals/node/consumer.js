// Forwards a queue to an HTTP target: AMQP_URL, QUEUE, TARGET. Acks a message after a 2xx, else returns it to the queue.
const amqp = require("amqplib");
const { Pool } = require("undici");

const { AMQP_URL, QUEUE, TARGET } = process.env;
const IN_FLIGHT = 64;

async function main() {
  const target = new URL(TARGET);
  const pool = new Pool(target.origin, { connections: IN_FLIGHT });
  const connection = await amqp.connect(AMQP_URL);
  const channel = await connection.createChannel();
  await channel.prefetch(IN_FLIGHT);
  await channel.consume(QUEUE, async (message) => {
    try {
      const { statusCode, body } = await pool.request({
        path: target.pathname,
        method: "POST",
        headers: {
          "content-type": message.properties.contentType || "application/octet-stream",
          "x-message-id": message.properties.messageId || "",
        },
        body: message.content,
      });
      await body.dump();
      if (statusCode < 200 || statusCode > 299) throw new Error(`HTTP ${statusCode}`);
      channel.ack(message);
    } catch (error) {
      console.error(error.message);
      channel.nack(message);
    }
  });
}

main();
