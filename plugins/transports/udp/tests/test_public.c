/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where clients are told to connect: what each cloud's metadata service is asked, to the letter; what becomes of its answers,
 * good and bad; hosts by name; and the file in the temporary folder. The service is a plugin of the same node.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <diarkis/diarkis.h>
#include <diarkis/plugin.h>
#include <diarkis/test.h>
#include <diarkis/transport.h>

/* ---- a metadata service ---- */

struct exchange {
	const char *request, *answer; /* answer NULL: silence */
};

static const struct exchange *script; /* what is to come, in this order; of all nodes of this program */
static const char *listen_at;
static size_t asked;
static bool keeps_open;

struct service {
	struct dk_self base;
	struct dk_listener *listener;
	char got[2048];
	size_t n;
};

static void service_data(void *self, struct dk_stream *s, dk_slice bytes)
{
	struct service *v = self;
	const char *answer;

	ck_assert_uint_lt(v->n + bytes.n, sizeof(v->got));
	memcpy(v->got + v->n, bytes.p, bytes.n);
	v->n += bytes.n;
	v->got[v->n] = '\0';
	if (!strstr(v->got, "\r\n\r\n"))
		return;
	v->n = 0;
	ck_assert_ptr_nonnull(script[asked].request);
	ck_assert_str_eq(v->got, script[asked].request);
	answer = script[asked++].answer;
	if (!answer)
		return;
	dk_stream_write(s, dk_slice_of(dk_str_c(answer)));
	if (!keeps_open)
		dk_stream_close(s, true);
}

static void service_closed(void *self, struct dk_stream *s, int err)
{
	(void)s;
	(void)err;
	((struct service *)self)->n = 0;
}

static const struct dk_stream_ops service_ops = { .data = service_data, .closed = service_closed };

static int service_start(void *self)
{
	struct service *v = self;
	struct dk_listen_opts o = { 0 };

	if (!listen_at)
		return 0;
	ck_assert_int_eq(dk_addr_parse(dk_str_c(listen_at), 80, &o.bind), 0);
	return dk_listen(v, &o, &service_ops, NULL, &v->listener);
}

static void service_stop(void *self, struct dk_step *step)
{
	struct service *v = self;

	dk_listener_close(v->listener);
	dk_step_done(step, 0);
}

static const struct dk_ops ops = { .start = service_start, .stop = service_stop };

DK_PLUGIN(metadata) = {
	DK_PLUGIN_HEAD("metadata", "1", "answers as a cloud does"),
	.self_size = sizeof(struct service),
	.ops = &ops,
};

/* ---- a node beside it ---- */

static struct dk_harness *node;
static struct dk_env *world;
static int code;

/* Runs until the node serves (then true) or has ended with the exit code in `code`. */
static bool begin(const char *transport, const char *options, const char *const *env)
{
	static const struct dk_plugin_desc *const plugins[] = { &dk_plugin_metadata, NULL };
	struct dk_harness_opts o = { .plugins = plugins, .env = env, .stay = true };
	char config[1024];

	world = dk_env_sim(1);
	o.world = world;
	o.config = config;
	snprintf(config, sizeof(config), "plugins = { metadata = {}; %s = { %s }; };", transport, options);
	asked = 0;
	node = dk_harness_open(&o);
	if (!node)
		return false;
	ck_assert_int_eq(dk_begin(dk_harness_kernel(node)), 0);
	for (int i = 0; i < 3000 && !dk_is_started(dk_harness_kernel(node)); i++) {
		if (dk_finished(dk_harness_kernel(node), &code))
			return false;
		dk_harness_advance(node, 1);
	}
	return true;
}

static void end(void)
{
	dk_harness_free(node);
	dk_env_free(world);
	node = NULL;
}

static void expect_host(const char *want)
{
	struct dk_transport *t = dk_harness_service(node, DK_TRANSPORT_NAME);
	const char *host;
	uint16_t port;

	t->endpoint(t, &host, &port);
	ck_assert_str_eq(host, want);
	ck_assert_uint_ne(port, 0);
}

static const char *const transports[] = { "udp", "tcp" };

/* ---- each cloud ---- */

#define END_OF(host) "Host: " host "\r\nConnection: close\r\nUser-Agent: diarkis\r\n"
#define LINK_LOCAL END_OF("169.254.169.254")
#define OK(body) "HTTP/1.1 200 OK\r\nServer: x\r\n\r\n" body
#define SIZED(n, body) "HTTP/1.1 200 OK\r\ncontent-length: " #n "\r\nServer: x\r\n\r\n" body
#define NOT_FOUND "HTTP/1.0 404 Not Found\r\nContent-Length: 4\r\n\r\nnone"

static const char get_gcp[] =
	"GET /computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip HTTP/1.1\r\n" END_OF(
		"metadata.google.internal") "Metadata-Flavor: Google\r\n\r\n";
static const char put_aws[] =
	"PUT /latest/api/token HTTP/1.1\r\n" LINK_LOCAL "X-aws-ec2-metadata-token-ttl-seconds: 60\r\nContent-Length: 0\r\n\r\n";
static const char get_aws[] = "GET /latest/meta-data/public-ipv4 HTTP/1.1\r\n" LINK_LOCAL "X-aws-ec2-metadata-token: AQ==\r\n\r\n";
static const char get_azure[] =
	"GET /metadata/instance/network/interface/0/ipv4/ipAddress/0?api-version=2021-02-01 HTTP/1.1\r\n" LINK_LOCAL
	"Metadata: true\r\n\r\n";
static const char get_balancer[] =
	"GET /metadata/loadbalancer?api-version=2021-02-01 HTTP/1.1\r\n" LINK_LOCAL "Metadata: true\r\n\r\n";
static const char get_tencent[] =
	"GET /latest/meta-data/public-ipv4 HTTP/1.1\r\n" END_OF("metadata.tencentyun.com") "Accept: text/plain\r\n\r\n";
#define ALIBABA END_OF("100.100.100.200")
static const char put_alibaba[] =
	"PUT /latest/api/token HTTP/1.1\r\n" ALIBABA "X-aliyun-ecs-metadata-token-ttl-seconds: 60\r\nContent-Length: 0\r\n\r\n";
static const char get_elastic[] = "GET /latest/meta-data/eipv4 HTTP/1.1\r\n" ALIBABA "X-aliyun-ecs-metadata-token: t0ken\r\n\r\n";
static const char get_alibaba[] =
	"GET /latest/meta-data/public-ipv4 HTTP/1.1\r\n" ALIBABA "X-aliyun-ecs-metadata-token: t0ken\r\n\r\n";
static const char put_linode[] =
	"PUT /v1/token HTTP/1.1\r\n" LINK_LOCAL "Metadata-Token-Expiry-Seconds: 60\r\nContent-Length: 0\r\n\r\n";
static const char get_linode[] =
	"GET /v1/network HTTP/1.1\r\n" LINK_LOCAL "Accept: application/json\r\nMetadata-Token: e80eb8\r\n\r\n";

static const struct {
	const char *env, *at, *option, *host;
	struct exchange script[4];
} good[] = {
	{ "GCP", "169.254.169.254", "", "203.0.113.1", { { get_gcp, SIZED(11, "203.0.113.1") } } },
	{ "gcp", "169.254.169.254", "", "2001:db8::1", { { get_gcp, SIZED(11, "2001:db8::1 of which this is not a part") } } },
	{ "AWS", "169.254.169.254", "", "203.0.113.2", { { put_aws, OK("AQ==") }, { get_aws, OK("203.0.113.2\n") } } },
	{ "AZURE",
	  "169.254.169.254",
	  "",
	  "203.0.113.3",
	  { { get_azure, OK("{\"privateIpAddress\": \"10.0.0.4\", \"publicIpAddress\" : \"203.0.113.3\"}") } } },
	{ "AZURE",
	  "169.254.169.254",
	  "",
	  "203.0.113.4",
	  { { get_azure, OK("{\"privateIpAddress\":\"10.0.0.4\",\"publicIpAddress\":\"\"}") },
	    { get_balancer,
	      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	      "2b\r\n{\"loadbalancer\":{\"publicIpAddresses\":[{\"fro\r\n"
	      "23\r\nntendIpAddress\":\"203.0.113.4\",\"priv\r\n1c\r\nateIpAddress\":\"10.0.0.4\"}]}}\r\n0\r\n\r\n" } } },
	{ "TENCENT",
	  "10.5.5.5:8080",
	  "metadataAddress = \"10.5.5.5:8080\";",
	  "203.0.113.5",
	  { { get_tencent, SIZED(11, "203.0.113.5") } } },
	{ "ALIBABA", "100.100.100.200", "", "203.0.113.6", { { put_alibaba, OK("t0ken") }, { get_elastic, OK("203.0.113.6") } } },
	{ "ALIBABA",
	  "100.100.100.200",
	  "",
	  "203.0.113.7",
	  { { put_alibaba, OK("t0ken") }, { get_elastic, NOT_FOUND }, { get_alibaba, OK("203.0.113.7") } } },
	{ "LINODE",
	  "169.254.169.254",
	  "",
	  "203.0.113.8",
	  { { put_linode, OK("e80eb8\n") },
	    { get_linode, OK("{\"interfaces\":[{\"id\":1,\"purpose\":\"public\",\"label\":null}],\n \"ipv4\": {\"public\": [ "
			     "\"203.0.113.8/32\"],"
			     "\"private\":[]},\"ipv6\":{}}") } } },
};

START_TEST(clouds)
{
	char env[64], options[256];

	for (int open = 0; open < 2; open++) {
		script = good[_i / 2].script;
		listen_at = good[_i / 2].at;
		keeps_open = open && strstr(script[0].answer, "ength");
		snprintf(env, sizeof(env), "DIARKIS_CLOUD_ENV=%s", good[_i / 2].env);
		snprintf(options, sizeof(options), "address = \"10.0.0.1\"; %s", good[_i / 2].option);
		ck_assert_msg(begin(transports[_i % 2], options, (const char *const[]){ env, NULL }), "%s", dk_harness_log(node));
		expect_host(good[_i / 2].host);
		ck_assert_ptr_null(script[asked].request);
		ck_assert(!dk_harness_log_has(node, "can reach"));
		ck_assert_int_eq(dk_harness_stop(node), 0);
		end();
	}
}
END_TEST

/* ---- what cannot be understood ---- */

static const char long_answer[20000] = { [0 ... 19998] = 'x' };

static const struct {
	const char *env, *says;
	struct exchange script[4];
} bad[] = {
	{ "GCP", "did not answer within 2 s", { { get_gcp, NULL } } },
	{ "AWS", "did not answer within 2 s", { { put_aws, OK("AQ==") }, { get_aws, NULL } } },
	{ "GCP", "it ended the connection", { { get_gcp, "HTTP/1.1 200 O" } } },
	{ "GCP", "stopped in the middle of its answer", { { get_gcp, SIZED(12, "203.0.113.1") } } },
	{ "GCP",
	  "stopped in the middle of its answer",
	  { { get_gcp, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n203.0.113.1\r\n" } } },
	{ "GCP",
	  "stopped in the middle of its answer",
	  { { get_gcp,
	      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffffffff\r\n203.0.113.1\r\n0\r\n\r\n" } } },
	{ "GCP", "answered with status 0", { { get_gcp, "SSH-2.0-x\r\n\r\n203.0.113.1" } } },
	{ "GCP", "answered with status 500", { { get_gcp, "HTTP/1.1 500 Oops\r\n\r\n203.0.113.1" } } },
	{ "GCP", "knows no public address", { { get_gcp, NOT_FOUND } } },
	{ "GCP", "knows no public address", { { get_gcp, OK(" \n") } } },
	{ "GCP", "is no IP address", { { get_gcp, OK("<html>") } } },
	{ "GCP", "is no IP address", { { get_gcp, OK("203.0.113.1:80") } } },
	{ "GCP", "answered with more than an address", { { get_gcp, long_answer } } },
	{ "AWS", "answered with status 404", { { put_aws, NOT_FOUND } } },
	{ "AWS", "gave no token", { { put_aws, OK("") } } },
	{ "AWS", "gave no token", { { put_aws, OK("AQ\r\nHost: evil") } } },
	{ "AZURE",
	  "knows no public address",
	  { { get_azure, OK("{\"publicIpAddress\"") }, { get_balancer, OK("{\"frontendIpAddress\": \"203.0.113.4") } } },
	{ "AZURE",
	  "knows no public address",
	  { { get_azure, OK("\"publicIpAddress\":[") }, { get_balancer, OK("{\"frontendIpAddress\": {}}") } } },
};

START_TEST(refused)
{
	char env[64];

	script = bad[_i].script;
	listen_at = "169.254.169.254";
	snprintf(env, sizeof(env), "DIARKIS_CLOUD_ENV=%s", bad[_i].env);
	ck_assert_msg(!begin("udp", "address = \"10.0.0.1\";", (const char *const[]){ env, NULL }), "%s", dk_harness_log(node));
	ck_assert_ptr_nonnull(node);
	ck_assert_int_eq(code, 1);
	ck_assert_msg(dk_harness_log_has(node, bad[_i].says), "%s", dk_harness_log(node));
	ck_assert(dk_harness_log_has(node, "name a host or an address instead"));
	if (strstr(bad[_i].says, "within 2 s"))
		ck_assert(dk_harness_log_has(node, "00:00:02.000 error"));
	end();
}
END_TEST

/* Nobody listens; and no address goes with the name. */
START_TEST(nobody)
{
	static const char *const env[] = { "DIARKIS_CLOUD_ENV=GCP", NULL };
	static const char *const tencent[] = { "DIARKIS_CLOUD_ENV=TENCENT", NULL };

	listen_at = NULL;
	ck_assert(!begin("tcp", "address = \"10.0.0.1\";", env));
	ck_assert_msg(dk_harness_log_has(node, "is not there: "), "%s", dk_harness_log(node));
	end();
	ck_assert(!begin("udp", "address = \"10.0.0.1\";", tencent));
	ck_assert_msg(dk_harness_log_has(node, "has a name that leads to no address"), "%s", dk_harness_log(node));
	end();
}
END_TEST

/* ---- hosts ---- */

START_TEST(hosts)
{
	static const struct {
		const char *options, *host, *says;
	} rows[] = {
		{ "address = \"10.0.0.1\"; publicHost = \"eu1.game.example\";", "eu1.game.example", NULL },
		{ "address = \"10.0.0.1\"; publicHost = \"203.0.113.9\";", "203.0.113.9", NULL },
		{ "address = \"10.0.0.1\"; publicHost = \"2001:db8::9\";", "2001:db8::9", NULL },
		{ "address = \"0.0.0.0\"; publicHost = \"203.0.113.9\";", "203.0.113.9", NULL },
		{ "address = \"198.51.100.1\";", "198.51.100.1", NULL },
		{ "address = \"10.0.0.1\";", "10.0.0.1", "told to connect to 10.0.0.1, which only the same private network" },
		{ "address = \"127.0.0.1\";", "127.0.0.1", "told to connect to 127.0.0.1, which only this computer" },
		{ "address = \"0.0.0.0\";", "0.0.0.0", "told to connect to 0.0.0.0, which leads nowhere" },
	};
	static const char *const wrong[] = {
		"publicHost = \"203.0.113.9:80\";",
		"publicHost = \"http://x\";",
		"publicHost = \" \";",
		"metadataAddress = \"cloud\";",
	};

	listen_at = NULL;
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		for (size_t k = 0; k < DK_ARRAY_LEN(transports); k++) {
			ck_assert(begin(transports[k], rows[i].options, NULL));
			expect_host(rows[i].host);
			if (rows[i].says)
				ck_assert_msg(dk_harness_log_has(node, rows[i].says), "%s", dk_harness_log(node));
			else
				ck_assert(!dk_harness_log_has(node, "told to connect"));
			ck_assert_int_eq(dk_harness_stop(node), 0);
			end();
		}
	}
	for (size_t i = 0; i < DK_ARRAY_LEN(wrong); i++) {
		ck_assert(!begin("udp", wrong[i], NULL));
		ck_assert_ptr_null(node);
		dk_env_free(world);
	}
}
END_TEST

/* ---- the file ---- */

static void expect_file(const char *dir, const char *name, const char *want)
{
	char path[128], got[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/DIARKIS_PUBLIC_ADDR%s", dir, name);
	f = fopen(path, "r");
	if (f) {
		ck_assert_uint_lt(fread(got, 1, sizeof(got) - 1, f), sizeof(got));
		fclose(f);
	}
	ck_assert_str_eq(got, want);
}

/* UDP's address, if there is one: else TCP's. It goes with the node. */
START_TEST(file)
{
	static const struct {
		const char *others, *name, *text;
	} rows[] = {
		{ "", "_7200", "10.0.0.1:7200" },
		{ "}; udp = { address = \"10.0.0.1\";", "_7100", "10.0.0.1:7100" },
		{ "}; udp2 = { use = \"udp\"; address = \"10.0.0.1\"; port = 7110; publicHost = \"2001:db8::1\";", "_7110",
		  "[2001:db8::1]:7110" },
	};
	char dir[] = "/tmp/diarkis-public-XXXXXX", env[64], options[256];

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(env, sizeof(env), "TMPDIR=%s", dir);
	listen_at = NULL;
	for (size_t i = 0; i < DK_ARRAY_LEN(rows); i++) {
		snprintf(options, sizeof(options), "address = \"10.0.0.1\"; %s", rows[i].others);
		ck_assert(begin("tcp", options, (const char *const[]){ env, NULL }));
		expect_file(dir, "", rows[i].text);
		expect_file(dir, rows[i].name, rows[i].text);
		if (i)
			expect_file(dir, "_7200", "");
		ck_assert_int_eq(dk_harness_stop(node), 0);
		expect_file(dir, "", "");
		expect_file(dir, rows[i].name, "");
		end();
	}
	ck_assert_int_eq(rmdir(dir), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("public host");
	TCase *c = tcase_create("public host");
	SRunner *runner;
	int failed;

	tcase_set_timeout(c, 60);
	tcase_add_loop_test(c, clouds, 0, 2 * DK_ARRAY_LEN(good));
	tcase_add_loop_test(c, refused, 0, DK_ARRAY_LEN(bad));
	tcase_add_test(c, nobody);
	tcase_add_test(c, hosts);
	tcase_add_test(c, file);
	suite_add_tcase(suite, c);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
