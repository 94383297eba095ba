// A client of receiptd in TypeScript. The marked sections stand in docs/clients.md.

// example: connect
import { setTimeout } from "node:timers/promises";

import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createGrpcTransport } from "@connectrpc/connect-node";

import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { MemberFilter, ReceiptService } from "./gen/receipts/v1/receipt_service_pb.js";

export type Receipts = Client<typeof ReceiptService>;

export function connect(address: string): Receipts {
  // With pings, a connection that was lost in silence is noticed.
  return createClient(ReceiptService, createGrpcTransport({ baseUrl: `http://${address}`, pingIntervalMs: 20_000 }));
}
// end

// example: send
/** `reader` has read these messages; a token of a state that counts it. */
export async function sendReceipts(receipts: Receipts, reader: string, conversationId: string, messageIds: string[]) {
  const request = { userId: reader, conversationId, messageIds };
  return (await receipts.sendMessageReadReceipts(request, { timeoutMs: 5_000 })).consistencyToken;
}
// end

// example: ask
/** The receipt of each message, or why there is none, of a state that includes `token`. */
export async function counts(
  receipts: Receipts, sender: string, conversationId: string, messageIds: string[], token: string,
) {
  const messages = messageIds.map((messageId) => ({ conversationId, messageId }));
  const request = { userId: sender, messages, consistencyTokens: [token] };
  const { results } = await receipts.getMessageReadReceipts(request, { timeoutMs: 5_000 });
  return results.map(({ result }) => result);
}

/** Who has, or has not, read a message: all pages, one after the other. */
export async function* members(
  receipts: Receipts, sender: string, conversationId: string, messageId: string, filter: MemberFilter, token: string,
) {
  const message = { conversationId, messageId };
  let pageToken = "";
  for (;;) {
    const request = { userId: sender, message, filter, pageSize: 1_000, pageToken, consistencyTokens: [token] };
    const page = await receipts.getGroupMessageReadMemberList(request, { timeoutMs: 5_000 });
    yield* page.members;
    if (page.isFinished) return;
    pageToken = page.nextPageToken;
    token = page.consistencyToken;
  }
}
// end

// example: subscribe
/** What changes for `sender`, from `token` on or else from now; a lost connection is made again. */
export async function* watch(receipts: Receipts, sender: string, token?: string) {
  for (;;) {
    const start = token === undefined ? { case: token } : { case: "resumeToken" as const, value: token };
    const cut = new AbortController();
    try {
      const request = { userId: sender, start };
      for await (const response of receipts.subscribeMessageReadReceipts(request, { signal: cut.signal })) {
        yield response;
        // What came before it has been dealt with, and need not be told again.
        token = response.resumeToken;
      }
    } catch (error) {
      // What the server refuses has a reason; an error without one is a connection that was lost.
      if (errorInfo(error) !== undefined && ConnectError.from(error).code !== Code.Unavailable) throw error;
    } finally {
      cut.abort();
    }
    await setTimeout(1_000);
  }
}
// end

// example: errors
/** Why the server refused: the reason, and what varies in it. Undefined where a connection was lost. */
export function errorInfo(error: unknown) {
  return ConnectError.from(error).findDetails(ErrorInfoSchema)[0];
}
// end
