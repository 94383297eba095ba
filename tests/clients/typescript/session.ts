// What a sender and the readers do, against the server at the address given; it must be empty.
//
// The one who started this reads its lines: at READY-FOR-KILL the server is to be killed and started again, and then
// GO to be written.

import assert from "node:assert/strict";
import { createInterface } from "node:readline/promises";

import { Code, ConnectError } from "@connectrpc/connect";

import * as client from "./client.js";
import {
  EventResult, MemberFilter, ReceiptError, ReceiptOutcome, type SubscribeMessageReadReceiptsResponse,
} from "./gen/receipts/v1/receipt_service_pb.js";

const GROUP = "team";

/** What a sender's screen knows of its messages, from the stream alone. */
class Sender {
  readonly counts = new Map<string, { read: number; unread: number }>();
  readonly readers = new Map<string, Set<string>>();
  token: string | undefined;

  take(response: SubscribeMessageReadReceiptsResponse) {
    assert(response.resumeToken !== "" && !response.reset);
    for (const { senderId, change, newReaders, moreReaders, consistencyToken } of response.deltas) {
      assert(senderId === "ada" && change.case === "receipt" && !moreReaders && consistencyToken !== "");
      const { conversationId, messageId, readCount: read, unreadCount: unread } = change.value;
      assert.equal(conversationId, GROUP);
      assert(read >= (this.counts.get(messageId)?.read ?? 0), "a count went back");
      this.counts.set(messageId, { read, unread });
      assert(newReaders.every(({ readAt }) => readAt !== undefined));
      const readers = newReaders.map(({ userId }) => userId);
      this.readers.set(messageId, new Set([...(this.readers.get(messageId) ?? []), ...readers]));
    }
    this.token = response.resumeToken;
  }

  /** Takes what is told until `done`. */
  async takeUntil(stream: AsyncIterator<SubscribeMessageReadReceiptsResponse>, done: () => boolean) {
    while (!done()) {
      this.take((await stream.next()).value);
    }
  }

  check(expected: Record<string, { read: number; unread: number; readers: string[] }>) {
    const readers = (messageId: string) => [...(this.readers.get(messageId) ?? [])].sort();
    const known = [...this.counts].map(([id, counts]) => [id, { ...counts, readers: readers(id) }]);
    assert.deepEqual(Object.fromEntries(known), expected);
  }
}

async function publish(receipts: client.Receipts) {
  const memberIds = ["ada", "bob", "carl", "dora", "erin"];
  const events = [{ case: "groupCreated" as const, value: { groupType: "work", memberIds } }, sent("m1"), sent("m2")];
  const request = { events: events.map((event) => ({ conversationId: GROUP, event })), wait: true };
  const { outcomes } = await receipts.publishConversationEvents(request, { timeoutMs: 10_000 });
  assert.deepEqual(outcomes.map(({ result }) => result), Array(3).fill(EventResult.APPLIED));
}

function sent(messageId: string) {
  const audience = { case: "allMembers" as const, value: {} };
  return { case: "messageSent" as const, value: { messageId, senderId: "ada", needReadReceipt: true, audience } };
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found = [];
  for await (const item of items) found.push(item);
  return found;
}

async function failure(call: Promise<unknown>) {
  const error: unknown = await call.then(() => assert.fail("the call did not fail"), (error: unknown) => error);
  const info = client.errorInfo(error);
  assert(info, String(error));
  return { code: ConnectError.from(error).code, reason: info.reason, metadata: info.metadata };
}

async function checkErrors(receipts: client.Receipts, token: string) {
  const list = (user: string, message: string) =>
    failure(all(client.members(receipts, user, GROUP, message, MemberFilter.READ, token)));
  const unknown = await list("ada", "m99");
  assert(unknown.code === Code.NotFound && unknown.reason === "MESSAGE_NOT_FOUND");
  const forbidden = await list("bob", "m1");
  assert(forbidden.code === Code.PermissionDenied && forbidden.reason === "NOT_ALLOWED");
  const over = await failure(client.sendReceipts(receipts, "bob", GROUP, Array(101).fill("m1")));
  assert(over.code === Code.InvalidArgument && over.reason === "LIMIT_EXCEEDED");
  assert(over.metadata["limit"] === "100" && over.metadata["field"] === "message_ids");
  const damaged = await failure(client.watch(receipts, "ada", "damaged").next());
  assert.equal(damaged.reason, "INVALID_RESUME_TOKEN");
  // One message that cannot be answered does not fail the others.
  const [none, one] = await client.counts(receipts, "ada", GROUP, ["m99", "m1"], token);
  assert(none?.case === "error" && none.value === ReceiptError.NOT_FOUND);
  assert(one?.case === "receipt" && one.value.readCount === 1);
}

async function main(address: string) {
  const receipts = client.connect(address);
  await publish(receipts);
  const sender = new Sender();

  // Live: the first response comes at once, then each change.
  let live = client.watch(receipts, "ada");
  sender.take((await live.next()).value!);
  assert(sender.token !== undefined && sender.counts.size === 0);
  let token = await client.sendReceipts(receipts, "bob", GROUP, ["m1"]);
  await sender.takeUntil(live, () => sender.counts.has("m1"));
  sender.check({ m1: { read: 1, unread: 3, readers: ["bob"] } });

  // Asked, in a state that has the read.
  const [receipt] = await client.counts(receipts, "ada", GROUP, ["m1"], token);
  assert(receipt?.case === "receipt" && receipt.value.readCount === 1 && receipt.value.unreadCount === 3);
  const read = await all(client.members(receipts, "ada", GROUP, "m1", MemberFilter.READ, token));
  assert(read.length === 1 && read[0]?.userId === "bob" && read[0].readAt !== undefined);
  const unread = await all(client.members(receipts, "ada", GROUP, "m1", MemberFilter.UNREAD, token));
  assert.deepEqual(unread.map(({ userId }) => userId), ["carl", "dora", "erin"]);
  await checkErrors(receipts, token);

  // The client goes, somebody reads, the client comes back with its last token.
  await live.return();
  await client.sendReceipts(receipts, "carl", GROUP, ["m1"]);
  live = client.watch(receipts, "ada", sender.token);
  await sender.takeUntil(live, () => sender.counts.get("m1")?.read === 2);
  sender.check({ m1: { read: 2, unread: 2, readers: ["bob", "carl"] } });

  // The server goes while the stream is open; somebody reads before the client is back.
  const lines = createInterface({ input: process.stdin });
  console.log("READY-FOR-KILL");
  assert.equal((await lines[Symbol.asyncIterator]().next()).value, "GO");
  for (const message of ["m1", "m2"]) {
    const request = { userId: "dora", conversationId: GROUP, messageIds: [message], wait: true };
    const response = await receipts.sendMessageReadReceipts(request, { timeoutMs: 10_000 });
    assert.deepEqual(response.outcomes, [ReceiptOutcome.READ]);
    token = response.consistencyToken;
  }
  await sender.takeUntil(live, () => sender.counts.has("m2"));
  sender.check({
    m1: { read: 3, unread: 1, readers: ["bob", "carl", "dora"] },
    m2: { read: 1, unread: 3, readers: ["dora"] },
  });
  for (const asked of await client.counts(receipts, "ada", GROUP, ["m1", "m2"], token)) {
    assert(asked.case === "receipt");
    const { messageId, readCount: read, unreadCount: unread } = asked.value;
    assert.deepEqual(sender.counts.get(messageId), { read, unread });
  }
  await live.return();
  lines.close();
  console.log("DONE");
}

await main(process.argv[2]!);
