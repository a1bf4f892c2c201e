// Writes to the master of group GROUP, or g1, until stdin ends, and prints the port of the
// server that took each write. Arguments: host:port of each Sentinel.
const Redis = require("ioredis");

const redis = new Redis({
  name: process.env.GROUP || "g1",
  sentinels: process.argv.slice(2).map((a) => ({ host: a.split(":")[0], port: Number(a.split(":")[1]) })),
  sentinelRetryStrategy: () => 20,
  retryStrategy: () => 20,
  reconnectOnError: (err) => err.message.startsWith("READONLY"),
  failoverDetector: process.env.DETECTOR === "1",
});
redis.on("error", (err) => console.log("error", err.message));

async function main() {
  for (;;) {
    try {
      const [[, ok], [, conf]] = await redis.multi().set("ioredis", "x").config("GET", "port").exec();
      console.log(ok, conf[1]);
    } catch (err) {
      console.log("error", err.message);
    }
    await new Promise((done) => setTimeout(done, 10));
  }
}

process.stdin.on("end", () => process.exit(0)).resume();
main();
