// SPDX-License-Identifier: Apache-2.0
// attack for Colyseus: a player hits, everybody in the room sees the damage and the room's total.
import { Room, Server } from "@colyseus/core";
import { WebSocketTransport } from "@colyseus/ws-transport";

const damages = [10, 25, 60];

export class AttackRoom extends Room {
	total = 0;

	onCreate() {
		this.onMessage("attack", (client, message) => {
			const damage = damages[message?.type];
			if (damage === undefined) {
				client.send("error", { code: 1001, text: `attack type ${message?.type} is none of 0, 1, 2` });
				return;
			}
			this.total += damage;
			const result = { type: message.type, uid: client.userData.uid, damage, totalDamage: this.total };
			client.send("attack.answer", result);
			this.broadcast("attack", result);
		});
	}

	onJoin(client, options) {
		if (typeof options?.uid !== "string" || !options.uid)
			throw new Error("a uid is required");
		client.userData = { uid: options.uid };
	}
}

export async function serve(port) {
	const server = new Server({ transport: new WebSocketTransport(), greet: false });
	server.define("attack", AttackRoom);
	await server.listen(port, "127.0.0.1");
	return server;
}
