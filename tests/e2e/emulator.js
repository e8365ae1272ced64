// Serves the Bot API emulator of telegram-test-api on a free port of this machine, and says where.
const TelegramServer = require("telegram-test-api");

const server = new TelegramServer({ port: Number(process.argv[2]), host: "127.0.0.1", storeTimeout: 600 });
server.start().then(() => console.log("up"));
