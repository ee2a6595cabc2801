// The Anthropic client for JavaScript: the loop of an agent, whole or as a stream.
import { readFileSync } from "node:fs";
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ baseURL: process.env.BASE_URL, apiKey: "sk-test", maxRetries: 0 });
const input_schema = { type: "object", properties: { number: { type: "integer" } }, required: ["number"] };
const tools = [{ name: "read_log", description: "Read a log.", input_schema }];
const messages = [{ role: "user", content: process.env.TASK }];
let answer;
do {
  const body = { model: "claude-sonnet-4-5", max_tokens: 1000, system: "You read logs.", messages, tools };
  answer = process.argv[2] === "stream"
    ? await client.messages.stream(body).finalMessage()
    : await client.messages.create(body);
  messages.push({ role: "assistant", content: answer.content });
  const results = answer.content.filter((part) => part.type === "tool_use").map((part) => ({
    type: "tool_result",
    tool_use_id: part.id,
    content: readFileSync(`${process.env.LOGS}/${part.input.number}.log`, "utf8"),
  }));
  if (results.length) messages.push({ role: "user", content: results });
} while (answer.stop_reason === "tool_use");
console.log(JSON.stringify({ answer: answer.content.filter((part) => part.type === "text").map((part) => part.text).join("") }));
