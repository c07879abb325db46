/*
 * The golden server: an OpenAI-compatible stream whose schedule is a script and whose sends are
 * written down with the kernel's monotonic clock. The oracle of the accuracy figures and the load
 * of the benchmarks. It shares no code with kvmark.
 *
 *     cc -O2 -o golden_server golden_server.c -lm
 *     cc -O2 -DGOLDEN_TLS -o golden_server golden_server.c -lm -lssl -lcrypto
 *
 * One thread, epoll, Linux. Options (each with a value):
 *
 *     --port N          127.0.0.1:N; 0 takes any                                     (0)
 *     --ttft-ms F       first chunk this long after the request's first byte was read (300)
 *     --spread F        plus up to this share of it, by the request's number          (0)
 *     --itl-ms F        between chunks                                                (20)
 *     --step-ms F       all instants rounded up to a grid of F: all streams at once   (0: no grid)
 *     --prompt-tokens N what usage says of the prompt                                 (8)
 *     --realtime 1      go before all other processes, where the system allows it: what it then
 *                       writes down holds no wait of its own for a core
 *     --log FILE        one JSON line a request, written at SIGTERM
 *     --cert F --key F  serve TLS
 *
 * One token a chunk, as many as max_tokens (max_completion_tokens) says. GET /stats: chunks sent,
 * CPU time, the instant. stdout has one JSON line when it listens.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef GOLDEN_TLS
#include <openssl/err.h>
#include <openssl/ssl.h>
static SSL_CTX *tls;
#endif

#define EVENTS 256
#define READ_BYTES (256 * 1024)
#define ID_BYTES 96
/* Chunks that are sent between two looks at the sockets. */
#define BATCH 64

typedef struct {
  char id[ID_BYTES];
  uint64_t received_ns;
  uint64_t *sent_ns;
  uint32_t sent, tokens;
  int done;
} Request;

typedef struct {
  int fd, open, writing;
  /* Request being read. */
  char *in;
  size_t in_length, in_room;
  uint64_t first_byte_ns;
  /* Answer being sent. */
  Request *request;
  int chat, stream, usage;
  uint64_t first_ns, due_ns;
  ssize_t heap_at;
  /* What the socket has not taken yet. */
  char *out;
  size_t out_length, out_room;
#ifdef GOLDEN_TLS
  SSL *ssl;
#endif
} Connection;

static double ttft_ms = 300, spread = 0, itl_ms = 20, step_ms = 0;
static int port = 0, prompt_tokens = 8, realtime = 0;
static const char *log_path, *cert_path, *key_path;
static int poll_fd;
static volatile sig_atomic_t stopping;
static uint64_t chunks;
static Request **requests;
static size_t request_count, request_room;
static Connection **heap;
static size_t heap_length, heap_room;

static void die(const char *what) {
  fprintf(stderr, "golden_server: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void *grown(void *old, size_t bytes) {
  void *memory = realloc(old, bytes);
  if (memory == NULL) die("memory");
  return memory;
}

static uint64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- schedule: a heap of connections, the earliest due first ---- */

static void place(size_t at, Connection *c) {
  heap[at] = c;
  c->heap_at = (ssize_t)at;
}

static void sift(size_t at) {
  Connection *c = heap[at];
  while (at > 0 && heap[(at - 1) / 2]->due_ns > c->due_ns) {
    place(at, heap[(at - 1) / 2]);
    at = (at - 1) / 2;
  }
  for (size_t child; (child = 2 * at + 1) < heap_length; at = child) {
    if (child + 1 < heap_length && heap[child + 1]->due_ns < heap[child]->due_ns) child++;
    if (heap[child]->due_ns >= c->due_ns) break;
    place(at, heap[child]);
  }
  place(at, c);
}

static void schedule(Connection *c) {
  if (c->heap_at < 0) {
    if (heap_length == heap_room) {
      heap_room = heap_room ? heap_room * 2 : 1024;
      heap = grown(heap, heap_room * sizeof *heap);
    }
    place(heap_length++, c);
  }
  sift((size_t)c->heap_at);
}

static void unschedule(Connection *c) {
  if (c->heap_at < 0) return;
  size_t at = (size_t)c->heap_at;
  c->heap_at = -1;
  heap_length--;
  if (at == heap_length) return;
  place(at, heap[heap_length]);
  sift(at);
}

static uint64_t on_grid(double ns) {
  double step = step_ms * 1e6;
  return (uint64_t)(step > 0 ? ceil(ns / step) * step : ns);
}

/* ---- bytes out ---- */

static void drop(Connection *c) {
  if (!c->open) return;
  c->open = 0;
  unschedule(c);
#ifdef GOLDEN_TLS
  if (c->ssl) SSL_free(c->ssl);
#endif
  close(c->fd);
  free(c->in);
  free(c->out);
  c->in = c->out = NULL;
}

static void watch(Connection *c, int writing) {
  if (c->writing == writing) return;
  c->writing = writing;
  struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0u), .data.ptr = c};
  epoll_ctl(poll_fd, EPOLL_CTL_MOD, c->fd, &event);
}

/* Bytes taken; 0 if the socket takes none now; -1 if it is broken. */
static ssize_t put(Connection *c, const char *bytes, size_t length) {
#ifdef GOLDEN_TLS
  if (c->ssl) {
    ERR_clear_error();
    int n = SSL_write(c->ssl, bytes, (int)length);
    if (n > 0) return n;
    int error = SSL_get_error(c->ssl, n);
    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? 0 : -1;
  }
#endif
  ssize_t n = send(c->fd, bytes, length, MSG_NOSIGNAL);
  if (n >= 0) return n;
  return errno == EAGAIN || errno == EINTR ? 0 : -1;
}

static void flush_out(Connection *c) {
  size_t done = 0;
  while (done < c->out_length) {
    ssize_t n = put(c, c->out + done, c->out_length - done);
    if (n < 0) return drop(c);
    if (n == 0) break;
    done += (size_t)n;
  }
  memmove(c->out, c->out + done, c->out_length - done);
  c->out_length -= done;
  watch(c, c->out_length > 0);
}

static void say(Connection *c, const char *bytes, size_t length) {
  size_t done = 0;
  if (c->out_length == 0) {
    ssize_t n = put(c, bytes, length);
    if (n < 0) return drop(c);
    done = (size_t)n;
  }
  if (done == length) return;
  size_t rest = length - done;
  if (c->out_length + rest > c->out_room) {
    c->out_room = (c->out_length + rest) * 2;
    c->out = grown(c->out, c->out_room);
  }
  memcpy(c->out + c->out_length, bytes + done, rest);
  c->out_length += rest;
  watch(c, 1);
}

static void say_document(Connection *c, const char *status, const char *json) {
  char text[2048];
  int n = snprintf(text, sizeof text,
                   "HTTP/1.1 %s\r\ncontent-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
                   status, strlen(json), json);
  say(c, text, (size_t)n);
}

/* ---- answers ---- */

static const char *WORDS[] = {"time", "year", "people", "way", "day", "man", "thing", "woman"};

/* One SSE event of one token, without framing. */
static int event_text(const Connection *c, uint32_t index, int is_last, char *to, size_t room) {
  const char *word = WORDS[index % 8];
  const char *finish = is_last ? "\"length\"" : "null";
  if (c->chat) {
    return snprintf(to, room,
                    "data: {\"id\":\"chatcmpl-golden\",\"object\":\"chat.completion.chunk\","
                    "\"created\":1700000000,\"model\":\"golden\",\"choices\":[{\"index\":0,"
                    "\"delta\":{\"content\":\" %s\"},\"logprobs\":null,\"finish_reason\":%s}]}\n\n",
                    word, finish);
  }
  return snprintf(to, room,
                  "data: {\"id\":\"cmpl-golden\",\"object\":\"text_completion\","
                  "\"created\":1700000000,\"model\":\"golden\",\"choices\":[{\"index\":0,"
                  "\"text\":\" %s\",\"logprobs\":null,\"finish_reason\":%s,"
                  "\"stop_reason\":null}]}\n\n",
                  word, finish);
}

static int usage_text(const Connection *c, char *to, size_t room) {
  uint32_t n = c->request->tokens;
  return snprintf(to, room,
                  "data: {\"id\":\"cmpl-golden\",\"object\":\"%s\",\"created\":1700000000,"
                  "\"model\":\"golden\",\"choices\":[],\"usage\":{\"prompt_tokens\":%d,"
                  "\"total_tokens\":%d,\"completion_tokens\":%u}}\n\n",
                  c->chat ? "chat.completion.chunk" : "text_completion", prompt_tokens,
                  prompt_tokens + (int)n, n);
}

static void say_framed(Connection *c, const char *events, int length, int is_last) {
  char text[2200];
  int n = snprintf(text, sizeof text, "%x\r\n%.*s\r\n%s", (unsigned)length, length, events,
                   is_last ? "0\r\n\r\n" : "");
  say(c, text, (size_t)n);
}

static void say_whole(Connection *c) {
  Request *r = c->request;
  char *json = grown(NULL, 512 + 8u * r->tokens);
  int n = sprintf(json, "{\"id\":\"cmpl-golden\",\"object\":\"%s\",\"created\":1700000000,"
                        "\"model\":\"golden\",\"choices\":[{\"index\":0,%s",
                  c->chat ? "chat.completion" : "text_completion",
                  c->chat ? "\"message\":{\"role\":\"assistant\",\"content\":\"" : "\"text\":\"");
  for (uint32_t i = 0; i < r->tokens; i++) n += sprintf(json + n, " %s", WORDS[i % 8]);
  n += sprintf(json + n, "\"%s,\"finish_reason\":\"length\"}],\"usage\":{\"prompt_tokens\":%d,"
                         "\"total_tokens\":%d,\"completion_tokens\":%u}}",
               c->chat ? "}" : "", prompt_tokens, prompt_tokens + (int)r->tokens, r->tokens);
  char head[160];
  int h = sprintf(head, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                        "content-length: %d\r\n\r\n", n);
  r->sent_ns[0] = now_ns();
  r->sent = 1;
  say(c, head, (size_t)h);
  if (c->open) say(c, json, (size_t)n);
  free(json);
}

static void finish(Connection *c) {
  c->request->done = 1;
  c->request = NULL;
  unschedule(c);
}

/* Sends what is due and finds the next instant. */
static void send_due(Connection *c) {
  Request *r = c->request;
  char events[2048];
  int n = 0;
  if (!c->stream) {
    say_whole(c);
    if (c->open) finish(c);
    return;
  }
  uint32_t index = r->sent;
  int is_last = index + 1 == r->tokens;
  if (c->chat && index == 0) {
    n = snprintf(events, sizeof events,
                 "data: {\"id\":\"chatcmpl-golden\",\"object\":\"chat.completion.chunk\","
                 "\"created\":1700000000,\"model\":\"golden\",\"choices\":[{\"index\":0,"
                 "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"logprobs\":null,"
                 "\"finish_reason\":null}]}\n\n");
  }
  n += event_text(c, index, is_last, events + n, sizeof events - (size_t)n);
  if (is_last && c->usage) n += usage_text(c, events + n, sizeof events - (size_t)n);
  if (is_last) n += snprintf(events + n, sizeof events - (size_t)n, "data: [DONE]\n\n");
  r->sent_ns[r->sent++] = now_ns();
  chunks++;
  say_framed(c, events, n, is_last);
  if (!c->open) return;
  if (is_last) return finish(c);
  /* From the first instant, so that lateness never adds up. */
  c->due_ns = on_grid((double)c->first_ns + itl_ms * 1e6 * (double)r->sent);
  schedule(c);
}

/* ---- requests ---- */

static uint32_t number_after(const char *body, size_t length, const char *name, uint32_t otherwise) {
  const char *found = memmem(body, length, name, strlen(name));
  if (found == NULL) return otherwise;
  const char *at = found + strlen(name);
  while (at < body + length && (*at == ':' || *at == ' ')) at++;
  uint32_t value = (uint32_t)strtoul(at, NULL, 10);
  return value > 0 ? value : otherwise;
}

static int is_true(const char *body, size_t length, const char *name) {
  const char *found = memmem(body, length, name, strlen(name));
  if (found == NULL) return 0;
  const char *at = found + strlen(name);
  while (at < body + length && (*at == ':' || *at == ' ')) at++;
  return strncmp(at, "true", 4) == 0;
}

static const char *header(const char *head, const char *name) {
  const char *found = strcasestr(head, name);
  if (found == NULL) return NULL;
  found += strlen(name);
  while (*found == ' ') found++;
  return found;
}

/* A number in [0, 1) for the n-th request. */
static double chance(uint64_t n) {
  n = (n + 1) * 0x9E3779B97F4A7C15u;
  n ^= n >> 29;
  n *= 0xBF58476D1CE4E5B9u;
  return (double)(n >> 11) / (double)(1ull << 53);
}

static void begin(Connection *c, const char *head, const char *body, size_t length) {
  Request *r = calloc(1, sizeof *r);
  if (r == NULL) die("memory");
  const char *id = header(head, "\r\nx-request-id:");
  for (size_t i = 0; id != NULL && i < ID_BYTES - 1 && id[i] > ' ' && id[i] != '"' && id[i] != '\\';
       i++)
    r->id[i] = id[i];
  r->received_ns = c->first_byte_ns;
  r->tokens = number_after(body, length, "\"max_tokens\"",
                           number_after(body, length, "\"max_completion_tokens\"", 16));
  r->sent_ns = grown(NULL, r->tokens * sizeof(uint64_t));
  if (request_count == request_room) {
    request_room = request_room ? request_room * 2 : 1024;
    requests = grown(requests, request_room * sizeof *requests);
  }
  requests[request_count] = r;
  c->request = r;
  c->chat = strncmp(head, "POST /v1/chat", 13) == 0;
  c->stream = is_true(body, length, "\"stream\"");
  c->usage = is_true(body, length, "\"include_usage\"");
  double wait_ms = ttft_ms * (1 + spread * chance(request_count++));
  if (!c->stream) wait_ms += itl_ms * (r->tokens - 1);
  c->first_ns = (uint64_t)((double)r->received_ns + wait_ms * 1e6);
  c->due_ns = on_grid((double)c->first_ns);
  if (c->stream) {
    static const char HEAD[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8"
                               "\r\ntransfer-encoding: chunked\r\n\r\n";
    say(c, HEAD, sizeof HEAD - 1);
  }
  if (c->open) schedule(c);
}

static void say_stats(Connection *c) {
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  double cpu_ms = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1e3 +
                  (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e3;
  char json[256];
  snprintf(json, sizeof json,
           "{\"chunks\":%" PRIu64 ",\"cpu_ms\":%.3f,\"now_ns\":%" PRIu64
           ",\"requests\":%zu,\"running\":%zu}",
           chunks, cpu_ms, now_ns(), request_count, heap_length);
  say_document(c, "200 OK", json);
}

static void answer(Connection *c, const char *head, const char *body, size_t length) {
  if (strncmp(head, "POST /v1/", 9) == 0) return begin(c, head, body, length);
  if (strncmp(head, "GET /v1/models", 14) == 0) {
    return say_document(c, "200 OK",
                        "{\"object\":\"list\",\"data\":[{\"id\":\"golden\",\"object\":\"model\","
                        "\"created\":1700000000,\"owned_by\":\"kvmark\",\"root\":\"golden\","
                        "\"max_model_len\":1000000}]}");
  }
  if (strncmp(head, "GET /stats", 10) == 0) return say_stats(c);
  if (strncmp(head, "GET /health", 11) == 0) return say_document(c, "200 OK", "{}");
  say_document(c, "404 Not Found", "{\"detail\":\"Not Found\"}");
}

/* Joins the chunks of a chunked body in place. Bytes that it took, 0 if it is not complete. */
static size_t dechunk(char *body, size_t length, size_t *joined) {
  size_t at = 0, to = 0;
  while (1) {
    char *end = memmem(body + at, length - at, "\r\n", 2);
    if (end == NULL) return 0;
    size_t size = strtoul(body + at, NULL, 16);
    size_t start = (size_t)(end - body) + 2;
    if (start + size + 2 > length) return 0;
    if (joined != NULL) {
      memmove(body + to, body + start, size);
      to += size;
    }
    at = start + size + 2;
    if (size > 0) continue;
    if (joined != NULL) *joined = to;
    return at;
  }
}

/* Answers the request in the buffer, if it is complete. */
static void take_request(Connection *c) {
  if (c->in_length == 0) return;
  c->in[c->in_length] = 0;
  char *end = memmem(c->in, c->in_length, "\r\n\r\n", 4);
  if (end == NULL) return;
  char *body = end + 4;
  size_t have = c->in_length - (size_t)(body - c->in), taken = 0, length = 0;
  *end = 0;
  const char *size = header(c->in, "\r\ncontent-length:");
  int is_chunked = header(c->in, "\r\ntransfer-encoding: chunked") != NULL;
  if (is_chunked) taken = dechunk(body, have, NULL);
  else if (size != NULL) taken = length = strtoul(size, NULL, 10);
  if ((is_chunked && taken == 0) || have < taken) {
    *end = '\r';
    return;
  }
  if (is_chunked) dechunk(body, have, &length);
  answer(c, c->in, body, length);
  if (!c->open) return;
  c->in_length = have - taken;
  memmove(c->in, body + taken, c->in_length);
}

static void receive(Connection *c) {
  while (c->open) {
    if (c->in_room - c->in_length < READ_BYTES / 4) {
      c->in_room = c->in_room ? c->in_room * 2 : READ_BYTES / 16;
      c->in = grown(c->in, c->in_room + 1);
    }
    if (c->in_length == 0) c->first_byte_ns = now_ns();
    ssize_t n;
#ifdef GOLDEN_TLS
    if (c->ssl) {
      ERR_clear_error();
      n = SSL_read(c->ssl, c->in + c->in_length, (int)(c->in_room - c->in_length));
      if (n <= 0) {
        int error = SSL_get_error(c->ssl, (int)n);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return;
        return drop(c);
      }
    } else
#endif
    {
      n = recv(c->fd, c->in + c->in_length, c->in_room - c->in_length, 0);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      if (n <= 0) return drop(c);
    }
    c->in_length += (size_t)n;
    if (c->request == NULL) take_request(c);
  }
}

static void accept_all(int listener) {
  int fd;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
    int yes = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    /* A connection is never freed: an event that is still queued may name it. */
    Connection *c = calloc(1, sizeof *c);
    if (c == NULL) die("memory");
    c->fd = fd;
    c->open = 1;
    c->heap_at = -1;
#ifdef GOLDEN_TLS
    if (tls) {
      c->ssl = SSL_new(tls);
      SSL_set_fd(c->ssl, fd);
      SSL_set_accept_state(c->ssl);
    }
#endif
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
  }
}

/* ---- start, loop, end ---- */

static void read_options(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    const char *name = argv[i], *value = argv[i + 1];
    if (!strcmp(name, "--port")) port = atoi(value);
    else if (!strcmp(name, "--ttft-ms")) ttft_ms = atof(value);
    else if (!strcmp(name, "--spread")) spread = atof(value);
    else if (!strcmp(name, "--itl-ms")) itl_ms = atof(value);
    else if (!strcmp(name, "--step-ms")) step_ms = atof(value);
    else if (!strcmp(name, "--prompt-tokens")) prompt_tokens = atoi(value);
    else if (!strcmp(name, "--realtime")) realtime = atoi(value);
    else if (!strcmp(name, "--log")) log_path = value;
    else if (!strcmp(name, "--cert")) cert_path = value;
    else if (!strcmp(name, "--key")) key_path = value;
    else {
      fprintf(stderr, "golden_server: there is no option %s\n", name);
      exit(2);
    }
  }
}

static void open_tls(void) {
  if (cert_path == NULL) return;
#ifdef GOLDEN_TLS
  tls = SSL_CTX_new(TLS_server_method());
  SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  if (key_path != NULL && SSL_CTX_use_certificate_chain_file(tls, cert_path) == 1 &&
      SSL_CTX_use_PrivateKey_file(tls, key_path, SSL_FILETYPE_PEM) == 1)
    return;
  ERR_print_errors_fp(stderr);
#endif
  fprintf(stderr, "golden_server: cannot serve TLS with %s\n", cert_path);
  exit(1);
}

static int start_listening(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  socklen_t length = sizeof address;
  inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16384) < 0)
    die("listen");
  getsockname(fd, (struct sockaddr *)&address, &length);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &event);
  struct sched_param first = {.sched_priority = 1};
  if (realtime && sched_setscheduler(0, SCHED_FIFO, &first) < 0) {
    realtime = 0;
    fprintf(stderr, "golden_server: no real-time priority: %s\n", strerror(errno));
  }
  printf("{\"url\":\"%s://%s:%d\",\"pid\":%d,\"realtime\":%d}\n", cert_path ? "https" : "http",
         cert_path ? "localhost" : "127.0.0.1", ntohs(address.sin_port), getpid(), realtime);
  fflush(stdout);
  return fd;
}

static void write_log(void) {
  if (log_path == NULL) return;
  FILE *file = fopen(log_path, "w");
  if (file == NULL) die(log_path);
  for (size_t i = 0; i < request_count; i++) {
    Request *r = requests[i];
    fprintf(file, "{\"id\":\"%s\",\"received_ns\":%" PRIu64 ",\"tokens\":%u,\"done\":%s,\"sent_ns\":[",
            r->id, r->received_ns, r->tokens, r->done ? "true" : "false");
    for (uint32_t k = 0; k < r->sent; k++)
      fprintf(file, "%s%" PRIu64, k ? "," : "", r->sent_ns[k]);
    fprintf(file, "]}\n");
  }
  if (fclose(file) != 0) die(log_path);
}

static void on_stop(int signal) {
  (void)signal;
  stopping = 1;
}

static void run(int listener) {
  struct epoll_event events[EVENTS];
  while (!stopping) {
    struct timespec wait = {.tv_sec = 1};
    if (heap_length > 0) {
      uint64_t now = now_ns(), due = heap[0]->due_ns;
      uint64_t left = due > now ? due - now : 0;
      wait = (struct timespec){.tv_sec = (time_t)(left / 1000000000u),
                               .tv_nsec = (long)(left % 1000000000u)};
    }
    int count = epoll_pwait2(poll_fd, events, EVENTS, &wait, NULL);
    for (int i = 0; i < count; i++) {
      Connection *c = events[i].data.ptr;
      if (c == NULL) {
        accept_all(listener);
        continue;
      }
      if (c->open && events[i].events & EPOLLOUT) flush_out(c);
      if (c->open && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(c);
    }
    for (int n = 0; n < BATCH && heap_length > 0 && heap[0]->due_ns <= now_ns(); n++)
      send_due(heap[0]);
  }
}

int main(int argc, char **argv) {
  read_options(argc, argv);
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  /* The default slack of a timer is 50 microseconds. */
  prctl(PR_SET_TIMERSLACK, 1);
  struct sigaction action = {.sa_handler = on_stop};
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGINT, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
  poll_fd = epoll_create1(EPOLL_CLOEXEC);
  open_tls();
  run(start_listening());
  write_log();
  return 0;
}
