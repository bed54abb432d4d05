/* The limit: the same work in C, on the librdkafka of the confluent-kafka wheel, with no guarantee.
 *
 * It scans for the two fields instead of parsing JSON, and reads its partitions without a group.
 * The wheel brings no header, so what is used of the library's ABI is declared here. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct rd_kafka_s rd_kafka_t;
typedef struct rd_kafka_conf_s rd_kafka_conf_t;
typedef struct rd_kafka_topic_s rd_kafka_topic_t;
typedef struct rd_kafka_queue_s rd_kafka_queue_t;
typedef struct rd_kafka_topic_partition_list_s rd_kafka_topic_partition_list_t;
typedef struct rd_kafka_topic_partition_s {
    char *topic;
    int32_t partition;
    int64_t offset;
} rd_kafka_topic_partition_t; /* The head of it. */
typedef struct rd_kafka_message_s {
    int err;
    rd_kafka_topic_t *rkt;
    int32_t partition;
    void *payload;
    size_t len;
    void *key;
    size_t key_len;
    int64_t offset;
    void *_private;
} rd_kafka_message_t;

enum { PRODUCER = 0, CONSUMER = 1, COPY = 2, FULL = -184, BATCH = 3000, ANY_PARTITION = -1 };

rd_kafka_conf_t *rd_kafka_conf_new(void);
int rd_kafka_conf_set(rd_kafka_conf_t *, const char *, const char *, char *, size_t);
rd_kafka_t *rd_kafka_new(int, rd_kafka_conf_t *, char *, size_t);
rd_kafka_topic_t *rd_kafka_topic_new(rd_kafka_t *, const char *, void *);
rd_kafka_topic_partition_list_t *rd_kafka_topic_partition_list_new(int);
rd_kafka_topic_partition_t *
rd_kafka_topic_partition_list_add(rd_kafka_topic_partition_list_t *, const char *, int32_t);
int rd_kafka_assign(rd_kafka_t *, const rd_kafka_topic_partition_list_t *);
int rd_kafka_poll_set_consumer(rd_kafka_t *);
rd_kafka_queue_t *rd_kafka_queue_get_consumer(rd_kafka_t *);
ssize_t rd_kafka_consume_batch_queue(rd_kafka_queue_t *, int, rd_kafka_message_t **, size_t);
void rd_kafka_message_destroy(rd_kafka_message_t *);
int rd_kafka_produce(rd_kafka_topic_t *, int32_t, int, void *, size_t, const void *, size_t, void *);
int rd_kafka_last_error(void);
int rd_kafka_poll(rd_kafka_t *, int);
int rd_kafka_flush(rd_kafka_t *, int);

static volatile sig_atomic_t stopping;

static void stop(int number) {
    (void)number;
    stopping = 1;
}

static const char *setting(const char *name) {
    const char *value = getenv(name);
    if (!value) {
        fprintf(stderr, "set %s\n", name);
        exit(78);
    }
    return value;
}

static rd_kafka_t *client(int type, const char *const pairs[][2], size_t count) {
    char error[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (size_t i = 0; i < count; i++)
        if (rd_kafka_conf_set(conf, pairs[i][0], pairs[i][1], error, sizeof error)) {
            fprintf(stderr, "%s\n", error);
            exit(78);
        }
    rd_kafka_t *made = rd_kafka_new(type, conf, error, sizeof error);
    if (!made) {
        fprintf(stderr, "%s\n", error);
        exit(78);
    }
    return made;
}

/* The text after `name`, up to `end`; NULL if the record does not have it. */
static const char *after(const rd_kafka_message_t *message, const char *name, size_t length) {
    const char *found = memmem(message->payload, message->len, name, length);
    return found ? found + length : NULL;
}

int main(void) {
    const char *brokers = setting("DOMINATION_KAFKA_BOOTSTRAP_SERVERS");
    const char *input = setting("DOMINATION_INPUT_TOPIC");
    int partitions = atoi(setting("BENCH_PARTITIONS"));
    const char *const reading[][2] = {
        {"bootstrap.servers", brokers},     {"group.id", setting("DOMINATION_GROUP")},
        {"enable.auto.commit", "false"},    {"fetch.queue.backoff.ms", "10"},
        {"queued.min.messages", "100000"},  {"enable.auto.offset.store", "false"},
    };
    const char *const writing[][2] = {
        {"bootstrap.servers", brokers}, {"compression.type", "lz4"},
        {"linger.ms", "20"},            {"queue.buffering.max.messages", "200000"},
        {"acks", "all"},                {"partitioner", "murmur2_random"},
    };
    rd_kafka_t *consumer = client(CONSUMER, reading, sizeof reading / sizeof *reading);
    rd_kafka_t *producer = client(PRODUCER, writing, sizeof writing / sizeof *writing);
    rd_kafka_topic_t *output = rd_kafka_topic_new(producer, setting("DOMINATION_OUTPUT_TOPIC"), NULL);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t *places = rd_kafka_topic_partition_list_new(partitions);
    for (int partition = 0; partition < partitions; partition++)
        rd_kafka_topic_partition_list_add(places, input, partition)->offset = 0;
    rd_kafka_assign(consumer, places);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(consumer);
    signal(SIGTERM, stop);

    static rd_kafka_message_t *batch[BATCH];
    while (!stopping) {
        ssize_t count = rd_kafka_consume_batch_queue(queue, 100, batch, BATCH);
        char now[32], shadow[512];
        struct timespec time;
        struct tm parts;
        clock_gettime(CLOCK_REALTIME, &time);
        size_t used = strftime(now, sizeof now, "%Y-%m-%d %H:%M:%S", gmtime_r(&time.tv_sec, &parts));
        snprintf(now + used, sizeof now - used, ".%03ld", time.tv_nsec / 1000000);
        for (ssize_t i = 0; i < count; i++) {
            rd_kafka_message_t *message = batch[i];
            const char *rating, *id, *end;
            if (!message->err && (rating = after(message, "\"rating\":", 9)) &&
                (id = after(message, "\"unique_id\":\"", 13)) &&
                (end = memchr(id, '"', (const char *)message->payload + message->len - id))) {
                long number = strtol(rating, NULL, 10);
                int type = (number % 3 ? 0 : 1) | (number % 5 ? 0 : 2);
                int length = snprintf(
                    shadow, sizeof shadow,
                    "{\"type\":%d,\"unique_id\":\"%.*s\",\"emit_timestamp\":\"%s\"}", type,
                    (int)(end - id), id, now);
                while (length < (int)sizeof shadow &&
                       rd_kafka_produce(output, ANY_PARTITION, COPY, shadow, (size_t)length,
                                        message->key, message->key_len, NULL) &&
                       rd_kafka_last_error() == FULL)
                    rd_kafka_poll(producer, 10);
            }
            rd_kafka_message_destroy(message);
        }
        rd_kafka_poll(producer, 0);
    }
    return rd_kafka_flush(producer, 10000) ? 69 : 0;
}
