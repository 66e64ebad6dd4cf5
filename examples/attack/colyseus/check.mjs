// SPDX-License-Identifier: Apache-2.0
// Ann and Bob in one room: an answer for Ann, a push for both, the total adds up, an unknown type is refused.
import assert from "node:assert/strict";
import { Client } from "@colyseus/sdk";
import { serve } from "./server.mjs";

const port = 20000 + process.pid % 10000;
const server = await serve(port);
const ann = await new Client(`ws://127.0.0.1:${port}`).create("attack", { uid: "ann" });
const bob = await new Client(`ws://127.0.0.1:${port}`).joinById(ann.roomId, { uid: "bob" });
for (const room of [ann, bob])
	room.onMessage("*", () => {});

function next(room, type) {
	return new Promise((done) => {
		const off = room.onMessage(type, (message) => {
			off();
			done(message);
		});
	});
}

const all = [next(ann, "attack.answer"), next(ann, "attack"), next(bob, "attack")];
ann.send("attack", { type: 2 });
for (const got of await Promise.all(all))
	assert.deepEqual(got, { type: 2, uid: "ann", damage: 60, totalDamage: 60 });

const second = next(ann, "attack");
bob.send("attack", { type: 0 });
assert.equal((await second).totalDamage, 70);

const refused = next(bob, "error");
bob.send("attack", { type: 9 });
assert.equal((await refused).code, 1001);

await ann.leave();
await bob.leave();
await server.gracefullyShutdown(false);
console.log("the Colyseus room does what attack does");
process.exit(0);
