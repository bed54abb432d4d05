import com.fasterxml.jackson.annotation.JsonProperty;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import com.fasterxml.jackson.databind.ObjectWriter;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;

/** Kafka Streams: the same ratings, the same shadows. Settings come as name=value. */
public final class Shadows {
    public record Rating(long rating, @JsonProperty("unique_id") String uniqueId) {}

    public record Shadow(
            int type,
            @JsonProperty("unique_id") String uniqueId,
            @JsonProperty("emit_timestamp") String emitTimestamp) {}

    private static final ObjectMapper MAPPER =
            new ObjectMapper().disable(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES);
    private static final ObjectReader READER = MAPPER.readerFor(Rating.class);
    private static final ObjectWriter WRITER = MAPPER.writerFor(Shadow.class);
    private static final DateTimeFormatter FORMAT =
            DateTimeFormatter.ofPattern("yyyy-MM-dd HH:mm:ss.SSS").withZone(ZoneOffset.UTC);

    // The text of a millisecond serves all records of it, as ours serves a batch.
    private static final ThreadLocal<long[]> LAST = ThreadLocal.withInitial(() -> new long[] {-1});
    private static final ThreadLocal<String[]> TEXT = ThreadLocal.withInitial(() -> new String[1]);

    private static String now() {
        long millisecond = System.currentTimeMillis();
        if (LAST.get()[0] != millisecond) {
            LAST.get()[0] = millisecond;
            TEXT.get()[0] = FORMAT.format(Instant.ofEpochMilli(millisecond));
        }
        return TEXT.get()[0];
    }

    private static byte[] judge(byte[] value) {
        try {
            Rating human = READER.readValue(value);
            int type = (human.rating() % 3 == 0 ? 1 : 0) | (human.rating() % 5 == 0 ? 2 : 0);
            return WRITER.writeValueAsBytes(new Shadow(type, human.uniqueId(), now()));
        } catch (IOException exception) {
            throw new UncheckedIOException(exception);
        }
    }

    public static void main(String[] arguments) throws InterruptedException {
        Properties settings = new Properties();
        for (String argument : arguments) {
            String[] pair = argument.split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        settings.put("bootstrap.servers", System.getenv("DOMINATION_KAFKA_BOOTSTRAP_SERVERS"));
        settings.put("application.id", System.getenv("DOMINATION_GROUP"));
        settings.put("default.key.serde", Serdes.ByteArraySerde.class.getName());
        settings.put("default.value.serde", Serdes.ByteArraySerde.class.getName());
        StreamsBuilder builder = new StreamsBuilder();
        builder.<byte[], byte[]>stream(System.getenv("DOMINATION_INPUT_TOPIC"))
                .mapValues(Shadows::judge)
                .to(System.getenv("DOMINATION_OUTPUT_TOPIC"));
        KafkaStreams streams = new KafkaStreams(builder.build(), settings);
        CountDownLatch ended = new CountDownLatch(1);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            ended.countDown();
        }));
        // By default it stays, and does nothing any more.
        streams.setUncaughtExceptionHandler(
                exception -> StreamThreadExceptionResponse.REPLACE_THREAD);
        streams.start();
        ended.await();
    }
}
