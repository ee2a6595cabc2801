// LangChain for JavaScript: a chat model with a bound tool.
import { readFileSync } from "node:fs";
import { HumanMessage, SystemMessage, ToolMessage } from "@langchain/core/messages";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";

const readLog = tool(async ({ number }) => readFileSync(`${process.env.LOGS}/${number}.log`, "utf8"), {
  name: "read_log",
  description: "Read a log.",
  schema: z.object({ number: z.number().int() }),
});
const configuration = { baseURL: process.env.BASE_URL + "/v1" };
const model = new ChatOpenAI({ model: "gpt-4o", apiKey: "sk-test", maxRetries: 0, configuration }).bindTools([readLog]);
const messages = [new SystemMessage("You read logs."), new HumanMessage(process.env.TASK)];
let answer;
do {
  answer = await model.invoke(messages);
  messages.push(answer);
  for (const call of answer.tool_calls ?? []) {
    messages.push(new ToolMessage({ tool_call_id: call.id, content: await readLog.invoke(call.args) }));
  }
} while (answer.tool_calls?.length);
console.log(JSON.stringify({ answer: answer.content }));
