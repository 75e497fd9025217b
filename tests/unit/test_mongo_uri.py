"""MONGO_URI is refused with a sentence that quotes no password, before anything connects."""

from __future__ import annotations

import re

import pytest

from gateway.mongo.uri import check_uri

CANARY = "Canary7"


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://127.0.0.1:27017/workerrmq",
        "mongodb://u:p%2Fw%40@h1,h2:1,[::1]:2/db?replicaSet=rs&w=majority&authSource=admin",
        "mongodb://h/db?ssl=true;w=1",
        "mongodb+srv://u:p@cluster.invalid/db?retryWrites=true&w=majority",
        "mongodb://%2Ftmp%2Fmongodb.sock/db",
    ],
)
def test_a_uri_that_pymongo_accepts_is_accepted_without_a_name_lookup(uri: str) -> None:
    check_uri(uri)


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        (f"mongodb://u:Top/{CANARY}@h/db", 'has an "@" after the first "/"'),
        (f"mongodb://u:12/{CANARY}@h/db", 'has an "@" after the first "/"'),
        (f"mongodb://u:12?{CANARY}@h/db", 'has an "@" after the first "/"'),
        (f"mongodb+srv://u:12?{CANARY}@h/db", 'has an "@" after the first "/"'),
        (f"mongodb://u:{CANARY}@x@h/db", "must look like"),
        (f"mongodb://u:{CANARY}%zz@h/db", "must look like"),
        (f"mongodb://u:{CANARY}/db", "must look like"),
        (f" mongodb://u:{CANARY}@h/db", "must start with mongodb:// or mongodb+srv://"),
        (f"mongodb://u:{CANARY}@h", "must name a database"),
        (f"mongodb://u:{CANARY}@h/?w=1", "must name a database"),
        (f"mongodb+srv://u:{CANARY}@h.invalid/", "must name a database"),
        (f"mongodb://u:{CANARY}@h/db?tsl=true", 'has an option "tsl" that is unknown'),
        (f"mongodb://u:{CANARY}@h/db?tlsCAFile=/no/{CANARY}", 'has an option "tlsCAFile"'),
        (f"mongodb://u:{CANARY}@h/db?maxPoolSize={CANARY}", 'has an option "maxPoolSize"'),
        (f"mongodb://u:{CANARY}@h/db?x;y=1", 'has an option "x"'),
        (f"mongodb://u:{CANARY}@h1,h2/db?directConnection=true", "must look like"),
        (f"mongodb://u:{CANARY}@h:99999/db", "must look like"),
        (f"mongodb://u:{CANARY}@h/db?w=0", "has w=0"),
        (f"mongodb://u:{CANARY}@h/db?ssl=true;W=0", "has w=0"),
        (f"mongodb://u:{CANARY}@h/db?readPreference=secondary", "has a readPreference other than primary"),
        (f"mongodb://u:{CANARY}@h/db?readpreference=nearest", "has a readPreference other than primary"),
        (f"mongodb://u:{CANARY}@[::1/db", "must look like"),
    ],
)
def test_a_malformed_uri_is_refused_with_a_sentence_that_quotes_no_password(uri: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)) as refused:
        check_uri(uri)

    said = str(refused.value)
    assert CANARY not in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("tlsCAFile=/nowhere/ca.pem", '"tlsCAFile" that names a file that cannot be read: No such file'),
        ("TLSCAFILE=/etc/passwd", '"tlsCAFile" that holds no CA certificate'),
        ("tlsCertificateKeyFile=/nowhere/client.pem", '"tlsCertificateKeyFile" that names a file that cannot be read'),
        ("tlsCertificateKeyFile=/etc/passwd", '"tlsCertificateKeyFile" that holds no certificate and its key'),
    ],
)
def test_a_file_of_certificates_that_cannot_be_used_is_refused_with_the_reason(option: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        check_uri(f"mongodb://user:canary@mongo.example/db?tls=true&{option}")
