// The OpenAI client for JavaScript: the loop of an agent, whole or as a stream.
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.BASE_URL + "/v1", apiKey: "sk-test", maxRetries: 0 });
const parameters = { type: "object", properties: { number: { type: "integer" } }, required: ["number"] };
const tools = [{ type: "function", function: { name: "read_log", description: "Read a log.", parameters } }];
const messages = [{ role: "system", content: "You read logs." }, { role: "user", content: process.env.TASK }];
let message;
do {
  const body = { model: "gpt-4o", messages, tools };
  message = process.argv[2] === "stream"
    ? await client.chat.completions.stream(body).finalMessage()
    : (await client.chat.completions.create(body)).choices[0].message;
  messages.push(message);
  for (const call of message.tool_calls ?? []) {
    const { number } = JSON.parse(call.function.arguments);
    messages.push({ role: "tool", tool_call_id: call.id, content: readFileSync(`${process.env.LOGS}/${number}.log`, "utf8") });
  }
} while (message.tool_calls?.length);
console.log(JSON.stringify({ answer: message.content }));
