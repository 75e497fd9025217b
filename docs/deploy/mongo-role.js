// The permissions of the service in MongoDB, and no others. Run: mongosh "mongodb://ADMIN@HOST/admin" mongo-role.js
// tests/api/test_mongo_role.py compares the actions with the commands that the service sends.
const database = process.env.WORKERRMQ_DATABASE || "workerrmq";

db.getSiblingDB("admin").createRole({
  role: "workerrmq",
  privileges: [{
    resource: { db: database, collection: "" },
    actions: [
      "find",         // read and count
      "insert",
      "update",
      "remove",
      "createIndex",
      "collMod",      // for upgrades that change a retention period
    ],
  }],
  roles: [],
});
db.getSiblingDB("admin").createUser({ user: "workerrmq", pwd: passwordPrompt(), roles: ["workerrmq"] });
