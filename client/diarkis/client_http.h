/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Just enough HTTP/1.1 to ask for an endpoint: a reader of answers without sockets, for programs that own theirs (it takes
 * pipelined answers one by one), and one blocking request for everybody else. No TLS, no redirects, no proxies.
 */
#ifndef DIARKIS_CLIENT_HTTP_H
#define DIARKIS_CLIENT_HTTP_H

#include <diarkis/client.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DKC_HTTP_BODY_MAX 65536 /* longest answer that is read */
#define DKC_HTTP_HEAD_MAX 8192

/* One answer being read. Zeroed before the first use; reused for the next answer of the connection. The body is on the heap. */
struct dkc_http {
	int status; /* 200 */
	bool close; /* the server closes the connection after this answer */
	uint8_t step; /* private */
	bool chunked, until_close; /* private */
	uint32_t head_n; /* private: bytes of head read */
	uint64_t left; /* private: of the body or the chunk */
	size_t body_n, body_cap;
	char *body; /* body_n bytes and a NUL; NULL while there is none */
	uint32_t line_n; /* private */
	char line[1024]; /* private */
};

/* Reads on. Returns how many bytes belong to this answer, or -EBADMSG when this is no answer or longer than the limits. *ret_done:
 * the answer is complete; take status and body, then dkc_http_reset() before feeding on. */
DK_API long dkc_http_feed(struct dkc_http *h, dk_slice bytes, bool *ret_done);
/* The connection ended. True when that completes the answer. */
DK_API bool dkc_http_end(struct dkc_http *h);
/* Ready for the next answer; keeps the buffer. */
DK_API void dkc_http_reset(struct dkc_http *h);
/* Releases the buffer. */
DK_API void dkc_http_fini(struct dkc_http *h);

/* The parts of "http://host:port/path": host without brackets, path "/" when empty, port 80 when absent. Views into url. False
 * when url is none of these. */
DK_API bool dkc_http_url(dk_str url, dk_str *ret_host, uint16_t *ret_port, dk_str *ret_path);

/*
 * GET, waiting up to timeout_ms. headers: whole lines ending in \r\n, or NULL. The body is NUL-terminated and on the heap, to be
 * freed by the caller, whatever the status. Returns 0 or DKC_MALFORMED or < 0; why then holds a sentence.
 */
DK_API int dkc_http_get(const char *url, const char *headers, int timeout_ms, int *ret_status, char **ret_body, char *why,
			size_t cap);

/*
 * The whole of it: asks base ("http://host:port") for an endpoint of that type for that user (bytes that a URL cannot hold are
 * escaped) and reads the answer. client_key may be NULL. Returns 0, DKC_MALFORMED or < 0; why then holds a sentence.
 */
DK_API int dkc_endpoint_get(const char *base, const char *type, const char *uid, const char *client_key, int timeout_ms,
			    struct dkc_endpoint *ret_endpoint, char *why, size_t cap);
/* The path of that request. Returns its length; when that is >= cap, dst holds an empty string. */
DK_API size_t dkc_endpoint_path(const char *type, const char *uid, char *dst, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
