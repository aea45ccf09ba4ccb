// node agent.mjs ROOT URL PLAN: a conversation by the HttpAgent of AG-UI.
// PLAN is a JSON list of steps; what came of them is printed as JSON.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
const [root, url, plan] = process.argv.slice(2);
const { HttpAgent } = await import(pathToFileURL(createRequire(`${root}/`).resolve('@ag-ui/client')).href);
const complaints = [];
for (const level of ['warn', 'error']) console[level] = (...words) => complaints.push(words.map(String).join(' ').slice(0, 300));
const agent = new HttpAgent({ url, threadId: 'thread' });
const errors = [], events = [], outcomes = [];
const subscriber = {
  onEvent: ({ event }) => { events.push(event); },
  onRunFailed: ({ error }) => { errors.push(`${error.name}: ${error.message}`.slice(0, 300)); },
  onRunErrorEvent: ({ event }) => { outcomes.push({ type: 'error', code: event.code, message: event.message }); },
  onRunFinishedEvent: ({ event }) => { outcomes.push(event.outcome); },
};
let runs = 0;
for (const step of JSON.parse(plan)) {
  if (step.send) agent.addMessage({ id: `user-${runs}`, role: 'user', content: step.send });
  const resume = step.resume && agent.pendingInterrupts.map((interrupt, index) => ({ interruptId: interrupt.id, status: 'resolved', payload: step.resume[index] }));
  await agent.runAgent({ runId: `run-${++runs}`, ...(resume ? { resume } : {}) }, subscriber).catch(error => errors.push(`THROWN ${error.message}`.slice(0, 300)));
}
console.log(JSON.stringify({ errors, complaints, events, outcomes, messages: agent.messages, pending: agent.pendingInterrupts }));
