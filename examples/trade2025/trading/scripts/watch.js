// node watch.js: says when a policy or a configuration changes
const { watch } = require("fs");
const places = ["C:\\trade2025\\trading\\config\\opa", "C:/trade2025/trading/config/authn/"];
const net = 'trade2025-frontend', old = 'xtrade2025-backend', next = "trade2025-frontend-v2";
for (const place of places) watch(place, (what, name) => console.log(new Date(), what, name, net));