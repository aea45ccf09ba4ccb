// node chat.mjs ROOT PACKAGE URL PLAN: a conversation by the package's own Chat, as useChat holds it.
// PLAN is a JSON list of steps; what came of them is printed as JSON.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const [root, name, url, plan] = process.argv.slice(2);
const ai = await import(pathToFileURL(createRequire(`${root}/`).resolve(name)).href);
const errors = [], chunks = [];
class State {
  status = 'ready'; error = undefined; messages = [];
  pushMessage = message => { this.messages = this.messages.concat(message); };
  popMessage = () => { this.messages = this.messages.slice(0, -1); };
  replaceMessage = (index, message) => { this.messages = this.messages.map((old, i) => i === index ? structuredClone(message) : old); };
  snapshot = value => structuredClone(value);
}
class Transport extends ai.DefaultChatTransport {
  processResponseStream(stream) {
    return super.processResponseStream(stream).pipeThrough(new TransformStream({ transform(chunk, out) { chunks.push(chunk); out.enqueue(chunk); } }));
  }
}
class Chat extends ai.AbstractChat {}
let made = 0;
const make = () => new Chat({
  id: 'chat', state: new State(), transport: new Transport({ api: url }), generateId: () => `id${++made}`,
  onError: error => errors.push(`${error.name}: ${error.message}`.slice(0, 300)),
});
let chat = make();
const calls = () => chat.messages.at(-1).parts.filter(part => part.toolCallId);
for (const step of JSON.parse(plan)) {
  if (step.send) await chat.sendMessage(step.send);
  if (step.stopAfterText) {
    const sent = chat.sendMessage({ text: step.stopAfterText });
    while (!chat.messages.at(-1)?.parts.some(part => part.text?.length > 3 && part.state === 'streaming')) await new Promise(done => setTimeout(done, 5));
    await chat.stop();
    await sent;
  }
  for (const [index, answer] of Object.entries(step.approve ?? {})) {
    const id = calls()[index].approval.id;
    await chat.addToolApprovalResponse({ id, approved: answer === true, ...(answer === true ? {} : { reason: answer }) });
  }
  for (const [index, output] of Object.entries(step.outputs ?? {})) {
    const part = calls()[index];
    await (chat.addToolOutput ?? chat.addToolResult).call(chat, { tool: part.type.slice(5), toolCallId: part.toolCallId, output });
  }
  if (step.goOn) await chat.sendMessage();
  if (step.resume) {  // the page was loaded again
    const before = chat.messages.slice(0, step.keep ?? -1);
    chat = make();
    chat.messages = before;
    await chat.resumeStream();
  }
}
console.log(JSON.stringify({ errors, chunks, messages: chat.messages, status: chat.status }));
