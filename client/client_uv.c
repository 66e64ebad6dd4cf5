/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The libuv driver. A prepare handle looks after the client once per turn of the loop: dial, timers, output. Every dial makes a
 * link of its own, which lives until libuv has closed it, so that a late callback of a former link finds its link and no client.
 * There is one link for the connection and perhaps one for a backup that is tried; each has a request of its own for names. Links,
 * requests and the driver's own handles are counted; the last one to close ends the driver.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include <diarkis/client_uv.h>

#define STREAM_OUT 65536

enum way { CONNECTION, TRY, WAYS };

struct link {
	struct dkc_uv *uv; /* always there: the driver outlives its links */
	enum way way;
	bool tcp, current, connected;
	union {
		uv_handle_t any;
		uv_udp_t udp;
		uv_tcp_t tcp;
	} handle;
	uv_connect_t connect;
	uv_shutdown_t half_close;
	struct dk_addr server;
};

/* A name on its way to an address. */
struct query {
	struct dkc_uv *uv;
	uv_getaddrinfo_t req;
	bool running;
	uint16_t port;
};

struct dkc_uv {
	struct dkc_client *client;
	uv_loop_t *loop;
	uv_prepare_t prepare;
	uv_timer_t timer;
	struct query query[WAYS];
	struct link *link[WAYS]; /* the current ones, or NULL */
	bool closing, wants_tcp;
	unsigned handles; /* open ones of libuv, requests included */
	void (*closed)(void *arg);
	void *arg;
	uint8_t in[65536];
	uint8_t out[STREAM_OUT];
};

struct write {
	uv_write_t req;
	uint8_t bytes[];
};

static uint64_t now_us(void)
{
	return uv_hrtime() / 1000;
}

static void turn(struct dkc_uv *uv);

static void release(struct dkc_uv *uv)
{
	if (--uv->handles || !uv->closing)
		return;
	if (uv->closed)
		uv->closed(uv->arg);
	free(uv);
}

/* ---- links ---- */

static void on_link_closed(uv_handle_t *h)
{
	struct link *l = h->data;
	struct dkc_uv *uv = l->uv;

	free(l);
	release(uv);
}

static void drop_link(struct dkc_uv *uv, enum way way)
{
	struct link *l = uv->link[way];

	uv->link[way] = NULL;
	if (!l)
		return;
	l->current = false;
	uv_close(&l->handle.any, on_link_closed);
}

static void hung_up(struct link *l)
{
	struct dkc_uv *uv = l->uv;

	if (!l->current || l->way == TRY)
		return;
	if (l->tcp)
		drop_link(uv, CONNECTION);
	dkc_hung_up(uv->client, now_us());
	turn(uv);
}

static void on_alloc(uv_handle_t *h, size_t hint, uv_buf_t *buf)
{
	struct link *l = h->data;

	(void)hint;
	*buf = uv_buf_init((char *)l->uv->in, sizeof(l->uv->in));
}

static struct dk_addr addr_of(const struct sockaddr *sa)
{
	struct dk_addr a = { .family = 0 };

	if (sa->sa_family == AF_INET) {
		a.family = 4;
		a.port = ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port);
		memcpy(a.ip, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else if (sa->sa_family == AF_INET6) {
		a.family = 6;
		a.port = ntohs(((const struct sockaddr_in6 *)(const void *)sa)->sin6_port);
		memcpy(a.ip, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	}
	return a;
}

/* The client may tell its server where it is. */
static void tell_local(struct link *l)
{
	struct sockaddr_storage sa;
	struct dk_addr local;
	int n = sizeof(sa), rc;

	rc = l->tcp ? uv_tcp_getsockname(&l->handle.tcp, (struct sockaddr *)&sa, &n)
		    : uv_udp_getsockname(&l->handle.udp, (struct sockaddr *)&sa, &n);
	if (rc)
		return;
	local = addr_of((struct sockaddr *)&sa);
	dkc_set_local(l->uv->client, &local);
}

static void on_bytes(struct link *l, ssize_t n)
{
	struct dkc_uv *uv = l->uv;

	if (!l->current || n <= 0)
		return;
	if (l->way == CONNECTION) {
		dkc_feed(uv->client, now_us(), dk_slice_n(uv->in, (size_t)n));
	} else if (dkc_feed_try(uv->client, now_us(), dk_slice_n(uv->in, (size_t)n))) {
		drop_link(uv, CONNECTION);
		uv->link[TRY] = NULL;
		uv->link[CONNECTION] = l;
		l->way = CONNECTION;
	}
}

static void on_datagram(uv_udp_t *h, ssize_t n, const uv_buf_t *buf, const struct sockaddr *from, unsigned flags)
{
	struct link *l = h->data;

	(void)buf;
	(void)flags;
	if (n == UV_ECONNREFUSED)
		hung_up(l);
	else if (from)
		on_bytes(l, n);
}

static void on_stream(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
	struct link *l = h->data;

	(void)buf;
	if (n < 0)
		hung_up(l);
	else
		on_bytes(l, n);
}

static void on_connect(uv_connect_t *req, int rc)
{
	struct link *l = req->data;
	struct dkc_uv *uv = l->uv;

	if (!l->current)
		return; /* cancelled by closing; on_link_closed() follows */
	if (!rc)
		rc = uv_read_start((uv_stream_t *)&l->handle.tcp, on_alloc, on_stream);
	l->connected = !rc;
	if (rc)
		drop_link(uv, CONNECTION);
	else
		tell_local(l);
	dkc_dialed(uv->client, now_us(), rc, &l->server);
	turn(uv);
}

static void dialed(struct dkc_uv *uv, enum way way, int rc, const struct dk_addr *server)
{
	if (way == CONNECTION)
		dkc_dialed(uv->client, now_us(), rc, server);
	else
		dkc_tried(uv->client, now_us(), rc, server);
}

static int open_link(struct dkc_uv *uv, enum way way, const struct sockaddr *sa)
{
	struct link *l = calloc(1, sizeof(*l));
	int rc;

	if (!l)
		return UV_ENOMEM;
	l->uv = uv;
	l->way = way;
	l->tcp = uv->wants_tcp;
	rc = l->tcp ? uv_tcp_init(uv->loop, &l->handle.tcp) : uv_udp_init(uv->loop, &l->handle.udp);
	if (rc) {
		free(l);
		return rc;
	}
	uv->handles++;
	uv->link[way] = l;
	l->current = true;
	l->handle.any.data = l;
	l->server = addr_of(sa);
	l->server.port = uv->query[way].port;
	if (l->tcp) {
		l->connect.data = l;
		uv_tcp_nodelay(&l->handle.tcp, 1);
		rc = uv_tcp_connect(&l->connect, &l->handle.tcp, sa, on_connect);
	} else {
		rc = uv_udp_connect(&l->handle.udp, sa);
		if (!rc)
			rc = uv_udp_recv_start(&l->handle.udp, on_alloc, on_datagram);
		l->connected = !rc;
		if (!rc) {
			tell_local(l);
			dialed(uv, way, 0, &l->server);
		}
	}
	return rc;
}

static void dial_failed(struct dkc_uv *uv, enum way way, int rc)
{
	drop_link(uv, way);
	dialed(uv, way, rc, NULL);
}

static void on_resolved(uv_getaddrinfo_t *req, int rc, struct addrinfo *list)
{
	struct query *q = req->data;
	struct dkc_uv *uv = q->uv;
	enum way way = q == &uv->query[TRY] ? TRY : CONNECTION;
	struct addrinfo *a = list;

	q->running = false;
	while (a && a->ai_family != AF_INET && a->ai_family != AF_INET6)
		a = a->ai_next;
	if (!uv->closing) {
		rc = !rc && a ? open_link(uv, way, a->ai_addr) : UV_EAI_NONAME;
		if (rc)
			dial_failed(uv, way, rc);
	}
	uv_freeaddrinfo(list);
	if (!uv->closing)
		turn(uv);
	release(uv);
}

static void dial(struct dkc_uv *uv, enum way way, const struct dkc_endpoint *to)
{
	struct addrinfo hints = { .ai_socktype = to->protocol == DKC_TCP ? SOCK_STREAM : SOCK_DGRAM };
	struct query *q = &uv->query[way];
	char port[8];
	int rc;

	drop_link(uv, way);
	uv->wants_tcp = to->protocol == DKC_TCP;
	q->port = to->port;
	snprintf(port, sizeof(port), "%u", to->port);
	rc = q->running ? UV_EBUSY : uv_getaddrinfo(uv->loop, &q->req, on_resolved, to->host, port, &hints);
	if (rc) {
		dial_failed(uv, way, rc);
		return;
	}
	q->running = true;
	uv->handles++;
}

/* ---- output ---- */

static void on_written(uv_write_t *req, int rc)
{
	(void)rc; /* a broken stream is told by reading */
	free(dk_container_of(req, struct write, req));
}

static void write_stream(struct dkc_uv *uv)
{
	uv_stream_t *h = (uv_stream_t *)&uv->link[CONNECTION]->handle.tcp;
	size_t n, need;

	/* What libuv could not write yet is a sign to wait: the client holds the rest back itself. */
	while (uv_stream_get_write_queue_size(h) < STREAM_OUT) {
		struct write *w;
		uv_buf_t buf;

		n = dkc_next_bytes(uv->client, uv->out, sizeof(uv->out), &need);
		if (!n && !need)
			return;
		w = malloc(sizeof(*w) + (n ? n : need));
		if (!w)
			return;
		if (n)
			memcpy(w->bytes, uv->out, n);
		else
			n = dkc_next_bytes(uv->client, w->bytes, need, &need); /* one frame longer than the buffer */
		buf = uv_buf_init((char *)w->bytes, (unsigned)n);
		if (uv_write(&w->req, h, &buf, 1, on_written)) {
			free(w);
			return;
		}
	}
}

static void write_datagrams(struct dkc_uv *uv)
{
	struct link *l = uv->link[CONNECTION], *try = uv->link[TRY];
	uint8_t slot[DKC_SLOT];
	size_t n;

	while ((n = dkc_next_try(uv->client, now_us(), slot, sizeof(slot))) > 0) {
		uv_buf_t buf = uv_buf_init((char *)slot, (unsigned)n);

		if (try && try->connected)
			uv_udp_try_send(&try->handle.udp, &buf, 1, NULL); /* whatever comes of it */
	}
	while ((n = dkc_next_datagram(uv->client, now_us(), slot, sizeof(slot))) > 0) {
		uv_buf_t buf = uv_buf_init((char *)slot, (unsigned)n);

		/* a full socket buffer loses a datagram, as the network may */
		if (l && l->connected && uv_udp_try_send(&l->handle.udp, &buf, 1, NULL) == UV_ECONNREFUSED)
			dkc_hung_up(uv->client, now_us());
	}
}

static void flush(struct dkc_uv *uv)
{
	struct link *l = uv->link[CONNECTION];
	size_t need;

	if (!uv->wants_tcp) {
		write_datagrams(uv);
	} else if (l && l->connected) {
		write_stream(uv);
		if (dkc_wants_half_close(uv->client))
			uv_shutdown(&l->half_close, (uv_stream_t *)&l->handle.tcp, NULL); /* after what is being written */
	} else {
		dkc_next_bytes(uv->client, uv->out, 0, &need); /* a client that leaves may go when nothing can be written */
	}
}

static void on_timer(uv_timer_t *t)
{
	(void)t; /* the prepare handle does what is due */
}

static void turn(struct dkc_uv *uv)
{
	const struct dkc_endpoint *to;
	uint64_t due, now = now_us();

	if (uv->closing)
		return;
	if (dkc_due(uv->client) <= now)
		dkc_tick(uv->client, now);
	flush(uv);
	to = dkc_wants_dial(uv->client);
	if (to) {
		dial(uv, CONNECTION, to);
		flush(uv);
	}
	to = dkc_wants_try(uv->client);
	if (to)
		dial(uv, TRY, to);
	if (!dkc_is_trying(uv->client))
		drop_link(uv, TRY);
	due = dkc_due(uv->client);
	if (due == DKC_NEVER)
		uv_timer_stop(&uv->timer);
	else
		uv_timer_start(&uv->timer, on_timer, due <= now ? 1 : (due - now + 999) / 1000, 0);
}

static void on_prepare(uv_prepare_t *p)
{
	turn(p->data);
}

/* ---- the driver ---- */

int dkc_uv_open(uv_loop_t *loop, struct dkc_client *c, struct dkc_uv **ret_uv)
{
	struct dkc_uv *uv = calloc(1, sizeof(*uv));

	if (!uv)
		return UV_ENOMEM;
	uv->client = c;
	uv->loop = loop;
	uv_prepare_init(loop, &uv->prepare);
	uv_timer_init(loop, &uv->timer);
	uv->prepare.data = uv->timer.data = uv;
	for (int i = 0; i < WAYS; i++) {
		uv->query[i].uv = uv;
		uv->query[i].req.data = &uv->query[i];
	}
	uv->handles = 2;
	uv_update_time(loop);
	uv_prepare_start(&uv->prepare, on_prepare);
	uv_timer_start(&uv->timer, on_timer, 0, 0); /* the first turn waits for nothing */
	*ret_uv = uv;
	return 0;
}

static void on_closed(uv_handle_t *h)
{
	release(h->data);
}

void dkc_uv_close(struct dkc_uv *uv, void (*closed)(void *arg), void *arg)
{
	if (!uv || uv->closing)
		return;
	flush(uv);
	uv->closing = true;
	uv->closed = closed;
	uv->arg = arg;
	for (int i = 0; i < WAYS; i++) {
		if (uv->query[i].running)
			uv_cancel((uv_req_t *)&uv->query[i].req);
		drop_link(uv, (enum way)i);
	}
	uv_close((uv_handle_t *)&uv->prepare, on_closed);
	uv_close((uv_handle_t *)&uv->timer, on_closed);
}
