// A child process that may die or hang: asked one thing at a time, ended when it takes too long.
import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export type Ended = { readonly ended: string };

export class Child<Message extends object> {
  private process: ChildProcess | undefined;
  private readonly waiting: Message[] = [];
  private wake: (() => void) | undefined;
  private end: string | undefined;

  constructor(
    private readonly module: string,
    private readonly execArgv: readonly string[] = [],
    private readonly env: object = {},
  ) {}

  get isRunning(): boolean {
    return this.process !== undefined;
  }

  send(message: object): void {
    this.process ??= this.start();
    this.process.send(message);
  }

  /** The next message, or how the process ended; one that says nothing for `milliseconds` is killed. */
  async next(milliseconds: number): Promise<Message | Ended> {
    const timer = setTimeout(() => {
      this.end = `no answer in ${milliseconds / 1000} s`;
      this.process?.kill('SIGKILL');
    }, milliseconds);
    while (this.waiting.length === 0 && this.process !== undefined)
      await new Promise<void>((resolve) => (this.wake = resolve));
    clearTimeout(timer);
    const message = this.waiting.shift();
    if (message !== undefined) return message;
    const ended = this.end ?? 'ended';
    this.end = undefined;
    return { ended };
  }

  /** Waits until the process has ended by itself. */
  async ended(): Promise<void> {
    while (this.process !== undefined) await new Promise<void>((resolve) => (this.wake = resolve));
  }

  stop(): void {
    this.process?.kill('SIGKILL');
  }

  private start(): ChildProcess {
    const path = fileURLToPath(new URL(this.module, import.meta.url));
    const env = { ...process.env, ...this.env };
    const child = fork(path, [], { execArgv: [...this.execArgv], env, serialization: 'json' });
    child.on('message', (message) => {
      this.waiting.push(message as Message);
      this.wake?.();
    });
    child.on('exit', (code, signal) => {
      this.end ??= signal ?? `exit code ${code}`;
      this.process = undefined;
      this.wake?.();
    });
    return child;
  }
}
