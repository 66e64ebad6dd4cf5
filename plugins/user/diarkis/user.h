/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Service "user": who is on this node. A user has a uid (what the application server vouches for), a sid and keys, property
 * data, at most one peer of a transport, and a serial queue of commands. Users are named by dk_id; a stale handle is an
 * outcome (DK_GONE), never a crash.
 *
 * A blank user has no transport; it may own empty rooms and is removed by disconnect() alone.
 */
#ifndef DIARKIS_USER_H
#define DIARKIS_USER_H

#include <diarkis/cursor.h>
#include <diarkis/err.h>
#include <diarkis/service.h>
#include <diarkis/signal.h>
#include <diarkis/transport.h>
#include <diarkis/value.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DK_USER_NAME "user"
#define DK_USER_MAJOR 1
#define DK_USER_MINOR 0
#define DK_USER_TYPE struct dk_user

#define DK_UID_MAX 256 /* bytes of a uid at most; at least 1; no control characters */

enum dk_user_outcome {
	DK_USER_BAD_UID = DK_OUTCOME_OWN, /* empty, too long, control characters */
	DK_USER_NO_TRANSPORT, /* no transport of that type here */
	DK_USER_MOVING /* is on its way to another node already */
};

enum dk_transport_kind { DK_VIA_NONE = 0, DK_VIA_TCP = 1, DK_VIA_UDP = 2, DK_VIA_WS = 3, DK_VIA_OTHER = 4 };

struct dk_user_event {
	dk_id user;
	dk_str uid;
	const uint8_t *sid; /* 16 bytes */
};
struct dk_user_connected {
	dk_id user;
	bool again; /* reconnected */
};
struct dk_user_discarded {
	dk_id user; /* still valid inside the signal */
	dk_str uid;
	const uint8_t *sid;
	enum dk_reason reason;
	bool was_connected;
};
struct dk_user_sid_updated {
	dk_id old_user, user; /* the old one is discarded (DK_REASON_REPLACED) right after */
	const uint8_t *old_sid, *sid;
};
struct dk_user_moved {
	dk_id user;
	struct dk_addr addr;
};
/* Room for notifications inside the echo reply: append with dk_wr_*; see <diarkis/transport.h> for the layout. */
struct dk_user_keep_alive {
	dk_id user;
	struct dk_writer *notes;
};

/* A property to begin with. */
struct dk_user_prop {
	dk_str name;
	struct dk_value value;
};
/* The end of create_on(). err 0: the user waits there for its client, which connects to host and port; all borrowed until this
 * returns. Otherwise an outcome of create(), or <0: the node did not answer, and may or may not have made it. */
typedef void dk_user_made_fn(void *self, void *arg, int err, const struct dk_credential *cred, dk_str host, uint16_t port);

/*
 * Users that move to another node. A module that knows something of users names it as a part: it is packed here, travels, and is
 * unpacked there before anybody hears of the user. Neither function may end users.
 */
struct dk_user_part {
	const char *name; /* static, at most 255 bytes, unique in the cluster; the same on both nodes */
	uint16_t version;
	/* What self knows of the user. Returns 0, DK_NOT_FOUND (nothing; no unpack there) or <0: the move is off. */
	int (*pack)(void *self, dk_id user, struct dk_writer *w);
	/* Returns 0, or anything else: the move is refused here, and the user gone again (`discarded`, DK_REASON_NEVER). */
	int (*unpack)(void *self, dk_id user, uint16_t version, dk_slice bytes);
};
/* The end of a move. err 0: it lives on the other node now, and here it is discarded (DK_REASON_MOVED) when this returns. Otherwise
 * it stays as it was: DK_REFUSED (by that node), DK_GONE (left meanwhile), or <0 (the node did not answer). Not called when the
 * mover stopped. */
typedef void dk_user_move_fn(void *self, void *arg, dk_id user, int err);
/* Where a move has a user. DK_USER_ARRIVES: its former node has something to hand over yet, which goes before all that it is pushed
 * here. */
enum dk_user_way { DK_USER_STAYS = 0, DK_USER_LEAVES, DK_USER_ARRIVES };
/* A question: 0 = the user may be moved away when this node is drained; other = somebody here moves it together with others. */
struct dk_user_keep {
	dk_id user;
};
/* A user from another node is here; its client is on the way. */
struct dk_user_arrived {
	dk_id user;
	dk_str uid;
	const uint8_t *sid;
	struct dk_addr from; /* the node it comes from */
	dk_slice note; /* what whoever moved it wrote for this node; empty = nothing */
};

struct dk_user {
	struct dk_service base;

	/* Past tense: tell. Users may be looked at and pushed to from inside. */
	DK_SIGNAL(struct dk_user_event) created; /* OnNew */
	DK_SIGNAL(struct dk_user_connected) connected; /* OnNewConnection */
	DK_SIGNAL(struct dk_user_discarded) discarded; /* OnDiscard */
	DK_SIGNAL(struct dk_user_sid_updated) sid_updated; /* OnSIDUpdate */
	DK_SIGNAL(struct dk_user_moved) moved; /* OnClientAddressChange */
	DK_SIGNAL(struct dk_user_keep_alive) keep_alive; /* OnKeepAlive */

	/* A user and its credential on the transport of that type ("UDP", or as renamed). A uid that is here already is replaced:
	 * sid_updated, then the old one is discarded. Returns 0, DK_REFUSED (node OFFLINE or TAKEN), DK_FULL, DK_USER_BAD_UID,
	 * DK_USER_NO_TRANSPORT or <0. */
	int (*create)(struct dk_user *svc, dk_str uid, dk_str type, struct dk_credential *ret_cred, dk_id *ret_user);
	/* No transport, no TTL. Returns 0, DK_FULL, DK_USER_BAD_UID or <0. */
	int (*create_blank)(struct dk_user *svc, dk_str uid, dk_id *ret_user);
	/* The transport that a type names, or NULL. */
	struct dk_transport *(*transport)(struct dk_user *svc, dk_str type);

	bool (*exists)(struct dk_user *svc, dk_id user);
	dk_id (*by_uid)(struct dk_user *svc, dk_str uid); /* 0 = nobody */
	dk_id (*by_sid)(struct dk_user *svc, const uint8_t sid[16]);
	/* Borrowed while the user lives; empty / NULL when it is gone. */
	dk_str (*uid)(struct dk_user *svc, dk_id user);
	const uint8_t *(*sid)(struct dk_user *svc, dk_id user);
	bool (*is_connected)(struct dk_user *svc, dk_id user);
	/* 0, DK_GONE */
	int (*info)(struct dk_user *svc, dk_id user, struct dk_peer_info *ret_info, enum dk_transport_kind *ret_kind);
	uint32_t (*latency_ms)(struct dk_user *svc, dk_id user); /* 0 = not measured */
	/* The client's own addresses as its first echo told them: a {u32, "ip:port"} list. Borrowed. */
	dk_slice (*locals)(struct dk_user *svc, dk_id user);
	size_t (*count)(struct dk_user *svc); /* CCU: users that have a transport */
	/* All users, in slot order: start with *slot = 0; 0 at the end. */
	dk_id (*next)(struct dk_user *svc, uint32_t *slot);

	/* Properties. Names of 1 to 255 bytes, 64 per user, 64 KiB in all. Return 0, DK_GONE, DK_NOT_FOUND, DK_FULL or <0. */
	int (*set)(struct dk_user *svc, dk_id user, dk_str name, const struct dk_value *value);
	int (*get)(struct dk_user *svc, dk_id user, dk_str name, struct dk_value *ret_value);
	int (*unset)(struct dk_user *svc, dk_id user, dk_str name);

	/* A push; how: enum dk_how. Returns 0, DK_GONE, DK_FULL, DK_TOO_LONG. Blank users swallow it. */
	int (*push)(struct dk_user *svc, dk_id user, uint8_t ver, uint16_t cmd, dk_slice payload, unsigned how);
	/* A reply outside a command's own answer. */
	int (*respond)(struct dk_user *svc, dk_id user, uint8_t ver, uint16_t cmd, enum dk_status status, dk_slice payload,
		       unsigned how);
	/* What waits for the transport's interval leaves at this turn's end. */
	void (*flush)(struct dk_user *svc, dk_id user);
	/* The same bytes to many: ids may hold stale ones and zeroes. Returns how many took it. */
	size_t (*push_many)(struct dk_user *svc, const dk_id *users, size_t n, uint8_t ver, uint16_t cmd, dk_slice payload,
			    unsigned how, bool flush);
	/* Discards the user; signals run before this returns. Returns 0 or DK_GONE. */
	int (*disconnect)(struct dk_user *svc, dk_id user, enum dk_reason reason);

	/* True when no client key is configured, or this is it. Takes the same time for every wrong key of one length. */
	bool (*client_key_ok)(struct dk_user *svc, dk_slice key);

	/* create(), its properties set before `created` tells of it. Returns as that, or as set(). */
	int (*create_with)(struct dk_user *svc, dk_str uid, dk_str type, const struct dk_user_prop *props, size_t n,
			   struct dk_credential *ret_cred, dk_id *ret_user);

	/* The type of the transport that it is on; empty: it is blank, or gone. Static. */
	dk_str (*type)(struct dk_user *svc, dk_id user);

	/* ---- between nodes; without a carrier these answer -EOPNOTSUPP ---- */

	/* The same on another node. done is called only after 0, never before this returns, and not when self stopped. Returns 0,
	 * DK_FULL, -EINVAL (properties that no user may have) or <0. */
	int (*create_on)(struct dk_user *svc, void *self, const struct dk_addr *node, dk_str uid, dk_str type,
			 const struct dk_user_prop *props, size_t n, uint32_t timeout_ms, dk_user_made_fn *done, void *arg);

	/* In place of `created`: after its parts were unpacked, before `connected` (again = true). */
	DK_SIGNAL(struct dk_user_arrived) arrived;
	DK_FILTER(struct dk_user_keep) keeping; /* asked when the node is drained */

	/* Names what self knows of users. part is static. Returns 0 or -ENOMEM; in init, undone by the ledger. */
	int (*carry)(struct dk_user *svc, void *self, const struct dk_user_part *part);
	/*
	 * A move in two steps, so that several users can move in one moment. Begin: commands of the user are held from now on (one
	 * that is under way is waited for; a deferred one that moves its own user ends by dk_call_drop()), and the other node makes
	 * it, with its sid, keys, properties and parts, ready for its client; what it is pushed there waits. ready runs once: err
	 * 0 = commit or abort it now, within 5 s; else as dk_user_move_fn. type empty: that of its transport. note: for `arrived`.
	 * Commit: what is queued here leaves, then the reconnect instruction. Once its client is there, what it was pushed and what
	 * it sent since goes after it, and done runs once. The user may vanish at any time: both then get DK_GONE.
	 * Begin returns 0, DK_GONE, DK_USER_MOVING, -ENOTCONN (its client is not here), -EINVAL (this node) or <0; commit 0,
	 * DK_GONE, -EINVAL (not ready) or <0 (the move is off). Neither callback runs before these return, nor after an error.
	 */
	int (*move_begin)(struct dk_user *svc, void *self, dk_id user, const struct dk_addr *node, dk_str type, dk_slice note,
			  dk_user_move_fn *ready, void *arg);
	int (*move_commit)(struct dk_user *svc, void *self, dk_id user, dk_user_move_fn *done, void *arg);
	/* Held commands run; ready and done do not. After the commit it is too late, and nothing happens. */
	void (*move_abort)(struct dk_user *svc, dk_id user);
	/* Both at once. Returns as move_begin(). */
	int (*move)(struct dk_user *svc, void *self, dk_id user, const struct dk_addr *node, dk_str type, dk_slice note,
		    dk_user_move_fn *done, void *arg);
	/* Everything another node needs to go on with this user if this one dies: credential, uid, properties, parts. A secret.
	 * Returns 0, DK_GONE or <0. */
	int (*pack)(struct dk_user *svc, dk_id user, struct dk_writer *w);
	/* The user of such bytes, here, waiting for its client at most ttl_ms (0 = the transport's connectionTTL): as after a
	 * move from `from`, but nothing is awaited from there. Returns as create(), DK_EXISTS (the uid logged in here since), or
	 * -EPROTO. */
	int (*unpack)(struct dk_user *svc, dk_slice bytes, const struct dk_addr *from, dk_slice note, uint32_t ttl_ms,
		      dk_id *ret_user);

	/* From the begin of a move away to its end, and from `arrived` until the former node has said all. */
	enum dk_user_way (*way)(struct dk_user *svc, dk_id user);
};

#ifdef __cplusplus
}
#endif

#endif
