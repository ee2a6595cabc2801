// The OpenAI client for JavaScript, Responses API: whole histories, whole or as a stream.
import { readFileSync } from "node:fs";
import OpenAI from "openai";

const client = new OpenAI({ baseURL: process.env.BASE_URL + "/v1", apiKey: "sk-test", maxRetries: 0 });
const parameters = { type: "object", properties: { number: { type: "integer" } }, required: ["number"] };
const tools = [{ type: "function", name: "read_log", description: "Read a log.", parameters, strict: false }];
const input = [{ role: "user", content: process.env.TASK }];
let response, calls;
do {
  const body = { model: "gpt-5", input, tools, store: false };
  response = process.argv[2] === "stream"
    ? await client.responses.stream(body).finalResponse()
    : await client.responses.create(body);
  input.push(...response.output.map(({ parsed_arguments, ...item }) => item));
  calls = response.output.filter((item) => item.type === "function_call");
  for (const call of calls) {
    const { number } = JSON.parse(call.arguments);
    const output = readFileSync(`${process.env.LOGS}/${number}.log`, "utf8");
    input.push({ type: "function_call_output", call_id: call.call_id, output });
  }
} while (calls.length);
console.log(JSON.stringify({ answer: response.output_text }));
