import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { InstallOrder } from '@fixpoint/contract/order.ts';
import { systemClock } from '../clock.ts';
import { openJournal, parseJournal } from './journal.ts';
import { openTaskList } from './task.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'fixpoint-journal-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true });
});

describe('a journal', () => {
  const at = '2026-11-22T12:00:00.000Z';
  function write(path: string): void {
    const journal = openJournal(path);
    journal.append({ at, step: 'accepted', phase: 'done', data: { payload: 'x' } });
    journal.append({ at, step: 'refresh', phase: 'begin', event: { state: 'downloading' } });
    journal.append({ at, step: 'refresh', phase: 'done' });
    journal.append({ at, step: 'download', phase: 'done', event: { state: 'staged' } });
    journal.close();
  }

  test('tells events by their place among the entries that have one', () => {
    const path = join(dir, 'a', 'journal.log');
    write(path);
    const again = openJournal(path);
    expect(again.events()).toEqual([
      { index: 0, at, state: 'downloading' },
      { index: 1, at, state: 'staged' },
    ]);
    again.close();
  });

  test('loses nothing of what is written after the disk was full', (given) => {
    const disk = join(dir, 'disk');
    mkdirSync(disk);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', disk], { stdio: 'ignore' });
    } catch {
      given.skip('nothing can be mounted here');
    }
    try {
      const path = join(disk, 'journal.log');
      const journal = openJournal(path);
      const filler = join(disk, 'filler');
      writeFileSync(filler, Buffer.alloc(32 * 1024));
      const entry = { at, step: 'refresh', phase: 'begin', data: { text: 'x'.repeat(1_500) } } as const;
      expect(() => {
        for (let i = 0; i < 100; i++) journal.append(entry);
      }).toThrow('ENOSPC');
      const written = journal.entries().length;
      expect(written).toBeGreaterThan(5);
      rmSync(filler);
      journal.append(entry);
      journal.close();
      expect(parseJournal(readFileSync(path, 'utf8')).entries).toHaveLength(written + 1);
    } finally {
      execFileSync('umount', [disk]);
    }
  });

  test('cut off anywhere, it holds the whole lines before, and goes on cleanly', () => {
    const path = join(dir, 'journal.log');
    write(path);
    const whole = readFileSync(path);
    const lineEnds = [...whole.entries()].filter(([, byte]) => byte === 10).map(([index]) => index + 1);
    for (let length = 0; length <= whole.length; length += 7) {
      writeFileSync(path, whole);
      truncateSync(path, length);
      const journal = openJournal(path);
      const kept = lineEnds.filter((end) => end <= length).length;
      expect(journal.entries()).toHaveLength(kept);
      journal.append({ at, step: 'verify', phase: 'begin' });
      journal.close();
      const read = parseJournal(readFileSync(path, 'utf8'));
      expect(read.corrupt).toBe(false);
      expect(read.entries).toHaveLength(kept + 1);
      expect(read.entries.at(-1)?.step).toBe('verify');
    }
  });

  test('a changed line is not believed, nor what follows it', () => {
    const path = join(dir, 'journal.log');
    write(path);
    const text = readFileSync(path, 'utf8').replace('"refresh","phase":"done"', '"install","phase":"done"');
    const read = parseJournal(text);
    expect(read.entries.map((e) => e.step)).toEqual(['accepted', 'refresh']);
    expect(read.corrupt).toBe(true);
    appendFileSync(path, 'torn');
    expect(parseJournal(readFileSync(path, 'utf8')).corrupt).toBe(false);
  });
});

describe('the tasks of a host', () => {
  const order = (sequence: number, generation = 1): InstallOrder => ({
    format: 1,
    action: 'install',
    asset_id: randomUUID(),
    task_id: randomUUID(),
    deployment_id: randomUUID(),
    generation,
    sequence,
    issued_at: '2026-11-22T11:59:00Z',
    expires_at: '2026-11-22T13:00:00Z',
    packages: [{ name: 'a', arch: 'all', from: '1', to: '2', source: 'a', source_version: '2' }],
    units: 'restart',
    install_timeout_seconds: 60,
  });

  test('an accepted order outlives the agent, and its sequence counts', () => {
    const first = openTaskList(dir, systemClock);
    const one = order(3);
    const payload = JSON.stringify(one);
    first.accept(one, payload);
    // As if it had crashed between the journal and the file of the sequence.
    rmSync(join(dir, 'obeyed-sequence'));
    const second = openTaskList(dir, systemClock);
    expect(second.lastSequence()).toBe(3);
    expect(second.active().map((t) => t.order)).toEqual([one]);
    expect(second.isJournaled(one, payload)).toBe(true);
    expect(second.isJournaled(one, `${payload} `)).toBe(false);
  });

  test('the sequence is remembered when the task itself is long forgotten', () => {
    const list = openTaskList(dir, systemClock);
    for (let sequence = 1; sequence <= 25; sequence++) {
      const one = order(sequence);
      const task = list.accept(one, JSON.stringify(one));
      task.note('ended', 'done', { event: { state: 'failed', failure: 'agent_error' } });
      task.delivered(0);
    }
    list.prune();
    const again = openTaskList(dir, systemClock);
    expect(again.lastSequence()).toBe(25);
    expect(again.find('none')).toEqual([]);
    rmSync(join(dir, 'tasks'), { recursive: true });
    expect(openTaskList(dir, systemClock).lastSequence()).toBe(25);
  });

  test('a task is settled when it has ended and the server knows how, not before', () => {
    const list = openTaskList(dir, systemClock);
    const one = order(1);
    const task = list.accept(one, JSON.stringify(one));
    expect(list.settled().size).toBe(0);
    task.note('ended', 'done', { event: { state: 'failed', failure: 'agent_error' } });
    expect(list.settled().size).toBe(0);
    task.delivered(0);
    expect([...list.settled()]).toEqual([task.payloadDigest]);
    expect(openTaskList(dir, systemClock).settled()).toEqual(list.settled());
  });

  test('what the server has not applied is still to be sent after a restart', () => {
    const list = openTaskList(dir, systemClock);
    const one = order(1);
    const task = list.accept(one, JSON.stringify(one));
    task.note('refresh', 'begin', { event: { state: 'downloading' } });
    task.note('download', 'done', { event: { state: 'staged' } });
    task.delivered(0);
    const [again] = openTaskList(dir, systemClock).undelivered();
    expect(again?.events().slice(again.deliveredIndex() + 1)).toMatchObject([{ index: 1, state: 'staged' }]);
    expect(again?.state()).toBe('staged');
  });
});
