// Vercel's AI SDK with an OpenAI-compatible provider: it runs the tools itself, whole or as a stream.
import { readFileSync } from "node:fs";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const provider = createOpenAICompatible({ name: "test", baseURL: process.env.BASE_URL + "/v1", apiKey: "sk-test" });
const read_log = tool({
  description: "Read a log.",
  inputSchema: z.object({ number: z.number().int() }),
  execute: async ({ number }) => readFileSync(`${process.env.LOGS}/${number}.log`, "utf8"),
});
const options = {
  model: provider("gpt-4o"),
  system: "You read logs.",
  prompt: process.env.TASK,
  tools: { read_log },
  stopWhen: stepCountIs(20),
  maxRetries: 0,
};
const answer = process.argv[2] === "stream" ? await streamText(options).text : (await generateText(options)).text;
console.log(JSON.stringify({ answer }));
