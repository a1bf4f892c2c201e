// Writes to the master of group GROUP, or g1, until stdin ends, and prints the port of the
// server that took each write. Arguments: host:port of each Sentinel.
const { createSentinel } = require("redis");

const sentinel = createSentinel({
  name: process.env.GROUP || "g1",
  sentinelRootNodes: process.argv.slice(2).map((a) => ({ host: a.split(":")[0], port: Number(a.split(":")[1]) })),
  // Another try is a second later.
  maxCommandRediscovers: 1000,
});
sentinel.on("error", (err) => console.log("error", err.message));

async function main() {
  await sentinel.connect();
  for (;;) {
    try {
      const ok = await sentinel.set("noderedis", "x");
      const conf = await sentinel.use((client) => client.configGet("port"));
      console.log(ok, conf.port);
    } catch (err) {
      console.log("error", err.message);
    }
    await new Promise((done) => setTimeout(done, 10));
  }
}

process.stdin.on("end", () => process.exit(0)).resume();
main();
