#!/usr/bin/env bash
# Has Maven put the jars of mongo-java-server in MONGO_JAVA_SERVER, unless they are there. Needs maven and a JDK.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

jars="${MONGO_JAVA_SERVER:-/var/cache/workerrmq/mongo-java-server}"
if cmp -s pom.xml "$jars/pom.xml"; then exit; fi
mvn -B -q dependency:copy-dependencies -DoutputDirectory="$jars"
cp pom.xml "$jars/" # the last step: an interrupted run is repeated
