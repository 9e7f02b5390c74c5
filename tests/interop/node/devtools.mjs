// A headless Chromium, driven by its DevTools protocol over a pair of pipes: messages of JSON, each ended by a zero byte.

import { spawn } from "node:child_process";

export class Browser {
  #process;
  #sent = new Map();
  #awaited = new Map();
  #number = 0;

  constructor(program, flags, environment) {
    const stdio = ["ignore", "inherit", "inherit", "pipe", "pipe"].map((way, index) => (index === 1 ? process.stderr : way));
    this.#process = spawn(program, ["--headless=new", "--remote-debugging-pipe", ...flags], { stdio, env: { ...process.env, ...environment } });
    let rest = Buffer.alloc(0);
    this.#process.stdio[4].on("data", (bytes) => {
      rest = Buffer.concat([rest, bytes]);
      for (let end; (end = rest.indexOf(0)) >= 0; rest = rest.subarray(end + 1)) this.#take(JSON.parse(rest.subarray(0, end)));
    });
    this.#process.on("error", (error) => this.#fail(error));
    this.#process.on("exit", (code) => this.#fail(new Error(`Chromium ended with ${code}`)));
  }

  #take({ id, result, error, method }) {
    if (id === undefined) return this.#awaited.get(method)?.();
    const asked = this.#sent.get(id);
    this.#sent.delete(id);
    if (error) asked?.reject(new Error(error.message));
    else asked?.resolve(result);
  }

  #fail(error) {
    this.#sent.forEach(({ reject }) => reject(error));
    this.#sent.clear();
  }

  // What the method of the protocol results in; `session` is the page that it is for.
  ask(method, params = {}, session = undefined) {
    const id = ++this.#number;
    return new Promise((resolve, reject) => {
      this.#sent.set(id, { resolve, reject });
      this.#process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId: session })}\0`);
    });
  }

  // A page at this address: a function from an expression to the value that it promises.
  async page(url) {
    const { targetId } = await this.ask("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.ask("Target.attachToTarget", { targetId, flatten: true });
    const loaded = new Promise((resolve) => this.#awaited.set("Page.loadEventFired", resolve));
    await this.ask("Page.enable", {}, sessionId);
    await this.ask("Page.navigate", { url }, sessionId);
    await loaded;
    return async (expression) => {
      const parameters = { expression, awaitPromise: true, returnByValue: true };
      const { result, exceptionDetails } = await this.ask("Runtime.evaluate", parameters, sessionId);
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    };
  }

  async close() {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    await this.ask("Browser.close");
    await ended;
  }
}
