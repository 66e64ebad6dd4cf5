/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node of the mesh and another one that has the key and no manners: over a stream and by datagram it says, under good seals and
 * without, whatever the script wants. The node must stay up, hold no more than it should, answer a good request at the end, and
 * leave nothing behind.
 */
#include <diarkis/carrier.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>

#include "wire/cluster.h"
#include "wire/cluster_unit.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                                                                                                                    \
	do {                                                                                                                       \
		if (!(x))                                                                                                          \
			abort();                                                                                                   \
	} while (0)

extern const struct dk_plugin_desc dk_plugin_mesh;

struct target {
	struct dk_self base;
};
#define TARGET_COMMANDS(X, R)                                                                                                      \
	R(struct target, DK_VER_NODE, 20000, "target.any", on_any, DK_INTERNAL, "takes all", DK_IN(rest(any)), DK_OUT(rest(any)))
DK_COMMANDS(target, TARGET_COMMANDS)

static int on_any(struct target *t, struct dk_call *call)
{
	(void)t;
	return dk_answer(call, call->payload);
}

static const struct dk_plugin_desc target = { DK_PLUGIN_HEAD("target", "1.0.0", "is called"), .self_size = sizeof(struct target),
					      .commands = target_commands };

struct play {
	struct dk_env *world;
	struct dk_harness *node;
	struct dk_addr at;
	struct wire_cluster *us;
	struct wire_hello hello;
	struct wire_contact by_stream, by_packet;
	struct dk_sim_tcp *tcp;
	struct dk_sim_udp *udp;
	uint64_t number, session;
};

static int chance(void *arg, void *buf, size_t n)
{
	uint8_t *p = buf;

	while (n--)
		*p++ = (uint8_t)dk_sim_chance(arg);
	return 0;
}

static void run(struct play *p)
{
	dk_sim_run(p->world, 5);
}

static void hang_up(struct play *p)
{
	wire_contact_fini(&p->by_stream);
	dk_sim_tcp_close(p->tcp, true);
	p->tcp = NULL;
}

static void connect_stream(struct play *p, bool greet)
{
	dk_slice bytes;
	uint64_t acked;

	hang_up(p);
	MUST(dk_sim_tcp_connect(p->world, "10.9.0.1", &p->at, NULL, NULL, &p->tcp) == 0);
	run(p);
	if (!greet)
		return;
	MUST(wire_hello_write(p->us, WIRE_HELLO_STREAM, 1, p->session, &p->hello) == 0);
	dk_sim_tcp_send(p->tcp, dk_slice_n(p->hello.bytes, WIRE_HELLO_LEN));
	run(p);
	bytes = dk_sim_tcp_bytes(p->tcp);
	if (bytes.n < WIRE_WELCOME_LEN)
		return;
	if (wire_welcome_open(p->us, &p->hello, dk_slice_n(bytes.p, WIRE_WELCOME_LEN), &acked, &p->by_stream) == 0)
		p->number = acked;
	dk_sim_tcp_take(p->tcp, bytes.n);
}

static void say(struct play *p, dk_slice plain, bool preface)
{
	static uint8_t buf[WIRE_RECORD_MAX];
	struct dk_writer w = dk_writer_on(buf + WIRE_RECORD_HEAD, WIRE_RECORD_PLAIN);
	struct wire_preface h = { .base = p->number + 1, .now_ms = dk_sim_now(p->world), .session = 1, .acked = 0 };

	if (!p->tcp || !p->by_stream.enc)
		return;
	if (preface)
		wire_preface_write(&w, &h);
	dk_wr_slice(&w, plain);
	dk_sim_tcp_send(p->tcp, dk_slice_n(buf, wire_record_seal(&p->by_stream, buf, dk_written(&w).n)));
	p->number++;
}

static void greet_by_packet(struct play *p)
{
	struct dk_addr from;
	dk_slice bytes;
	uint64_t acked;

	wire_contact_fini(&p->by_packet);
	MUST(wire_hello_write(p->us, 0, 1, 0, &p->hello) == 0);
	dk_sim_udp_send(p->udp, &p->at, dk_slice_n(p->hello.bytes, WIRE_HELLO_LEN));
	run(p);
	while (dk_sim_udp_next(p->udp, &from, &bytes))
		if (!p->by_packet.enc)
			(void)!wire_welcome_open(p->us, &p->hello, bytes, &acked, &p->by_packet);
}

static void say_by_packet(struct play *p, dk_slice plain)
{
	uint8_t buf[WIRE_PACKET_MAX];

	if (!p->by_packet.enc || plain.n > WIRE_PACKET_PLAIN)
		return;
	if (plain.n)
		memcpy(buf + WIRE_PACKET_HEAD, plain.p, plain.n);
	dk_sim_udp_send(p->udp, &p->at, dk_slice_n(buf, wire_packet_seal(&p->by_packet, buf, plain.n)));
}

/* After all that it still does what it is there for. */
static void must_serve(struct play *p)
{
	struct wire_unit u = { .kind = WIRE_UNIT_MESSAGE, .ver = DK_VER_NODE, .cmd = 20000 };
	int64_t before = dk_harness_counter(p->node, "mesh", "messages_in");
	uint8_t buf[64];
	struct dk_writer w = dk_writer_on(buf, sizeof(buf));

	p->session += 1000;
	connect_stream(p, true);
	MUST(p->by_stream.enc);
	wire_unit_write(&w, &u);
	say(p, dk_written(&w), true);
	run(p);
	MUST(dk_harness_counter(p->node, "mesh", "messages_in") == before + 1);
}

static void play_init(struct play *p)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_mesh, &target, NULL };
	struct wire_cluster_opts o = { .name = dk_str_c("diarkis"), .boot = 77, .random = chance, .key_n = 1 };
	struct dk_harness_opts h = { .plugins = plugins };

	h.config = "plugins = { mesh = { address = \"10.0.0.1\"; "
		   "key = \"0303030303030303030303030303030303030303030303030303030303030303\"; }; target = {}; };";
	p->world = dk_env_sim(1);
	h.world = p->world;
	p->node = dk_harness_open(&h);
	MUST(p->node);
	p->at = ((struct dk_carrier *)dk_harness_service(p->node, DK_CARRIER_NAME))->addr;
	memset(o.key, 3, sizeof(o.key));
	o.addr = (struct dk_addr){ .ip = { 10, 9, 0, 1 }, .port = 8000, .family = 4 };
	o.arg = p->world;
	MUST(wire_cluster_new(&o, &p->us) == 0);
	MUST(dk_sim_udp_open(p->world, "10.9.0.1:8000", NULL, NULL, &p->udp) == 0);
	p->session = 1;
}

static void play_fini(struct play *p)
{
	hang_up(p);
	wire_contact_fini(&p->by_packet);
	wire_cluster_free(p->us);
	dk_sim_udp_close(p->udp);
	MUST(dk_harness_free(p->node) == 0);
	dk_env_free(p->world);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dk_cursor c = dk_cursor_of(dk_slice_n(data, size));
	struct play p = { 0 };
	unsigned steps = 0;

	play_init(&p);
	while (dk_rd_left(&c) && steps++ < 64) {
		uint8_t op = dk_rd_u8(&c);
		size_t n = dk_rd_u8(&c);
		dk_slice bytes;

		bytes = dk_rd_slice(&c, dk_rd_left(&c) < n ? dk_rd_left(&c) : n);
		switch (op % 12) {
		case 0:
			connect_stream(&p, true);
			break;
		case 1:
			connect_stream(&p, false);
			break;
		case 2:
		case 3:
		case 4:
			say(&p, bytes, true);
			break;
		case 5:
			say(&p, bytes, false);
			break;
		case 6:
			if (p.tcp)
				dk_sim_tcp_send(p.tcp, bytes);
			break;
		case 7:
			greet_by_packet(&p);
			break;
		case 8:
		case 9:
			say_by_packet(&p, bytes);
			break;
		case 10:
			dk_sim_udp_send(p.udp, &p.at, bytes);
			break;
		default:
			p.session += bytes.n;
			p.number -= bytes.n ? bytes.p[0] : 0;
			run(&p);
			break;
		}
	}
	run(&p);
	must_serve(&p);
	play_fini(&p);
	return 0;
}
