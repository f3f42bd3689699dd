import { readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { exitCodes } from './exit-codes.ts';
import { Failure } from './failure.ts';
import { codeOf, note, pause, writeAll } from './output/stream.ts';

/** A line that a person types, or the next line of standard input. */
export function readLine(question: string): Promise<string> {
  if (!process.stdin.isTTY) return Promise.resolve(lineOfInput(question));
  return new Promise((resolve, reject) => {
    const reader = createInterface({ input: process.stdin, output: process.stderr });
    reader.on('SIGINT', () => {
      reader.close();
      reject(interrupted());
    });
    reader.question(question, (answer) => {
      reader.close();
      resolve(answer.trim());
    });
  });
}

/** The same without showing what is typed. */
export function readSecret(question: string): Promise<string> {
  if (!process.stdin.isTTY) return Promise.resolve(lineOfInput(question));
  writeAll(2, question);
  const input = process.stdin;
  input.setRawMode(true);
  input.setEncoding('utf8').resume();
  return new Promise((resolve, reject) => {
    let typed = '';
    const end = (): void => {
      input.off('data', take);
      input.setRawMode(false);
      input.pause();
      note('');
    };
    const take = (chunk: string): void => {
      for (const c of chunk) {
        if (c === '\r' || c === '\n') {
          end();
          resolve(typed);
          return;
        }
        if (c === '\u0003' || c === '\u0004') {
          end();
          reject(interrupted());
          return;
        }
        typed = c === '\u007F' || c === '\b' ? typed.replace(/.$/u, '') : typed + c;
      }
    };
    input.on('data', take);
  });
}

function interrupted(): Failure {
  return new Failure(
    exitCodes.interrupted,
    'interrupted',
    'interrupted',
    'Nothing was changed; start again.',
  );
}

/** One line, byte by byte so that what follows stays for the next question. */
function lineOfInput(question: string): string {
  const byte = Buffer.alloc(1);
  const bytes: number[] = [];
  for (;;) {
    let read: number;
    try {
      read = readSync(0, byte);
    } catch (error) {
      if (codeOf(error) === 'EOF') read = 0;
      else if (codeOf(error) === 'EAGAIN') {
        pause(5);
        continue;
      } else throw error;
    }
    if (read === 0 || byte[0] === 10) break;
    bytes.push(byte[0] ?? 0);
  }
  const line = Buffer.from(bytes).toString('utf8').replace(/\r$/u, '');
  if (line !== '') return line;
  throw new Failure(
    exitCodes.usage,
    'input_missing',
    `standard input is no terminal and holds no answer to "${question.trim()}"`,
    'Give it as the first line of standard input, or run this in a terminal.',
  );
}
