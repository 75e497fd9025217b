"""Templates: what they see, what they make, and what a hostile one cannot do."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.copies import Source, retry_copy
from delivery.payload import described
from delivery.payload_template import MAX_BODY_DEPTH, TemplateRenderer
from delivery.unsendable import BadTemplate, Unsendable
from domain.errors import RendererUnavailable
from domain.message import Properties
from domain.outcome import Answer
from gateway.rendering.once import OnceRenderers
from gateway.rendering.protocol import Frames, packed
from gateway.rendering.renderer import Renderer, RenderLimits
from tests.support.rendering import Renderings

BODY = {"id": 7, "name": 'Zoë "Z" <z>', "paid": True, "note": None, "l": [1, {"x": 2}], "o": {"p": "q"}}


def source(body: Any = BODY, **properties: Any) -> Source:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Source("orders", "shop", "order.created", Properties(**properties), raw, "m-1")


def rendered(template: str, message: Source | None = None, attempt: int = 1) -> str:
    message = message or source()
    return TemplateRenderer().render(template, described(message, attempt), message.body).decode()


@pytest.mark.parametrize(
    ("template", "made"),
    [
        ("{{ body.id }}", "7"),
        ("{{ body.name }}", 'Zoë "Z" <z>'),
        ("{{ body.l[1].x }}{{ body['o']['p'] }}", "2q"),
        ("{% for item in body.l %}[{{ loop.index }}]{% endfor %}", "[1][2]"),
        ("{% for name, value in body.o|items %}{{ name }}={{ value }}{% endfor %}", "p=q"),
        ("{{ body.missing|default('none') }}", "none"),
        ("{{ body.missing is defined }}", "False"),
        ("{% if body.paid and 'id' in body %}yes{% endif %}", "yes"),
        ("{{ text|length }}", str(len(json.dumps(BODY)))),
        (
            "{{ messageId }} {{ queue }} {{ exchange }} {{ routingKey }} {{ attempt }}",
            "m-1 orders shop order.created 1",
        ),
        ("{{ headers['x-n'] + 1 }} {{ properties.type }}", "3 order"),
        ("{{ {'a': body.id, 'b': body.l}|tojson }}", '{"a": 7, "b": [1, {"x": 2}]}'),
        ("{% set n = body.id * 2 %}{{ n }}", "14"),
        ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(1) }}", "<1>"),
    ],
)
def test_a_template_sees_the_message(template: str, made: str) -> None:
    assert rendered(template, source(headers={"x-n": 2}, type="order")) == made


names = st.text(max_size=9) | st.just("items")


@given(st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
))  # fmt: skip
def test_tojson_gives_back_the_json_that_was_published(value: Any) -> None:
    message = source({"v": value})
    assert json.loads(rendered("{{ body.v|tojson }}", message)) == value
    assert json.loads(rendered("{{ {'a': body}|tojson }}", message)) == {"a": {"v": value}}


def test_a_retry_is_rendered_from_what_was_published() -> None:
    first = source(headers={"x-tenant": "acme"}, message_id="m-1")
    copy = retry_copy(first, "erp", Answer(503, None, "", 0.1), 5, "workerrmq.delay.2", 1_700_000_000.0)
    again = Source("orders", "", "orders", copy.properties, copy.body, "m-1")
    template = "{{ exchange }} {{ routingKey }} {{ headers|tojson }} {{ properties|tojson }} {{ body.id }}"
    assert rendered(template, again) == rendered(template, first)


@pytest.mark.parametrize(
    ("template", "line", "words"),
    [("a\n{% if %}", 2, "unexpected end of block"), ("{{ a", 1, "end of variable"), ("{{ 'a }}", 1, ""),
     ("{% endfor %}", 1, "unknown statement"), ("{{ " + "(" * 500, 1, "recursion"), ("\n\n{% bogus %}", 3, "bogus")],
)  # fmt: skip
def test_an_invalid_template_is_refused_with_the_line_number(template: str, line: int, words: str) -> None:
    with pytest.raises(BadTemplate, match=f"^line {line}: .*{words}"):
        TemplateRenderer().compile(template)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ body.missing }}", "`body.missing` is undefined"),
        ("\n{{ body.missing.deeper }}", "line 2: `body.missing` is undefined"),
        ("{{ body.items }}", "`body.items` is undefined"),
        ("{{ nothing }}", "`nothing` is undefined"),
        ("{{ body|nofilter }}", "filter nofilter is unknown"),
        ("{% include 'other' %}", "non-existing template"),
        ("{{ 1 / 0 }}", "unable to calculate"),
    ],
)
def test_a_template_that_fails_says_where_and_why(template: str, why: str) -> None:
    with pytest.raises(Unsendable, match=re.escape(why)):
        rendered(template)


@pytest.mark.parametrize("name", sorted({*dir(dict), *dir(list), *dir(str), *dir(int)} - {"id"}))
def test_no_value_has_a_method(name: str) -> None:
    for value in ("body", "body.l", "body.name", "body.id", "headers"):
        for template in (
            f"{{{{ {value}.{name}() }}}}",
            f"{{{{ {value}.{name} }}}}",
            f"{{{{ ({value}|attr('{name}'))() }}}}",
        ):
            with pytest.raises(Unsendable):
                rendered(template)


def test_the_reason_names_the_encoding_of_a_body_that_the_service_cannot_read() -> None:
    with pytest.raises(Unsendable, match="its content encoding is gzip, which the service does not decode"):
        rendered("{{ body.id }}", source(gzip.compress(b"{}"), content_encoding="gzip"))


@pytest.mark.parametrize("template", ["{{ namespace() }}", "{{ debug() }}", "{{ lipsum() }}", "{{ __builtins__ }}"])
def test_functions_that_change_or_reveal_something_are_not_there(template: str) -> None:
    with pytest.raises(Unsendable):
        rendered(template)


@pytest.mark.parametrize("body", [b"no json", b"\xff", b""])
def test_a_body_that_is_not_json_is_text_or_nothing(body: bytes) -> None:
    with pytest.raises(Unsendable, match="`body` is undefined"):
        rendered("{{ body }}", source(body))
    assert rendered("{% if body is defined %}json{% else %}other{% endif %}", source(body)) == "other"


HOSTILE = {
    "nested loops": "{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}",
    "a long string": "{{ 'x' * 1000000000 }}",
    "repeated output": "{% for i in range(9000) %}{{ text }}{{ text }}{{ text }}{% endfor %}",
    "format": "{{ '%1000000000d'|format(1) }}",
    "indent": "{{ 'x'|indent(1000000000, true) }}",
    "doubled text": "{% set a = text %}" + "{% set a = a ~ a %}" * 40 + "{{ a|length }}",
    "recursion": "{% macro f() %}{{ f() }}{{ f() }}{% endmacro %}{{ f() }}",
    "a large range": "{{ range(1000000000)|list|length }}",
    "a large power": "{{ 10 ** 1000000000 }}",
}


@pytest.mark.parametrize("template", HOSTILE.values(), ids=HOSTILE)
def test_an_expensive_template_is_stopped(template: str) -> None:
    with pytest.raises(Unsendable):
        rendered(template)


def test_fuel_grows_with_the_message() -> None:
    message = source({"l": [{"sku": f"A-{n}", "qty": n} for n in range(20_000)]})
    template = (
        "[{% for one in body.l %}{{ one.sku|tojson }}:{{ one.qty }}{% if not loop.last %},{% endif %}{% endfor %}]"
    )
    assert rendered(template, message).count(":") == 20_000
    assert json.loads(rendered("{{ body|tojson }}", message))["l"][-1]["qty"] == 19_999


@pytest.mark.parametrize("depth", [MAX_BODY_DEPTH + 1, 1000])
def test_a_body_that_is_too_deep_is_unsendable(depth: int) -> None:
    with pytest.raises(Unsendable, match=r"levels|undefined"):
        rendered("{{ body }}", source(b"[" * depth + b"]" * depth))


# --- in the renderer's process ---------------------------------------------------------------------------------------

DOUBLED = "{% set a, b = [1], [1] %}" + "{% set a, b = [a, a], [b, b] %}" * 60


@pytest.fixture
def renderings() -> Iterator[Renderings]:
    one = Renderings()
    yield one
    one.close()


@pytest.mark.parametrize(
    ("template", "why"),
    [
        (DOUBLED + "{{ a }}", "processor time"),
        (DOUBLED + "{{ a == b }}", "processor time"),
        (DOUBLED + "{{ a|tojson }}", "processor time"),
        ("{{ [1]|tojson(indent=1000000000) }}", "processor time|memory|crashes"),
    ],
)
def test_a_message_that_ends_the_renderer_is_unsendable_and_no_other(
    renderings: Renderings, template: str, why: str
) -> None:
    for _ in range(2):
        found = renderings.all("first", template, "third", template, "{{ body|tojson }}")
        assert [one for one in found if isinstance(one, bytes)] == [b"first", b"third", b"{}"]
        for one in (found[1], found[3]):
            assert isinstance(one, Unsendable)
            assert re.search(why, str(one))


def test_answers_come_in_order_however_many_and_large(renderings: Renderings) -> None:
    body = json.dumps({"v": "x" * 300_000}).encode()
    found = renderings.all(*(f"{n}{{{{ body.v }}}}" for n in range(60)), body=body)
    assert found == [f"{n}".encode() + b"x" * 300_000 for n in range(60)]


def test_a_message_that_is_too_large_is_not_rendered() -> None:
    one = Renderings(body=1000)
    [found] = one.all("x", body=b"x" * 1001)
    assert isinstance(found, Unsendable)
    assert "1001 bytes" in str(found)
    one.close()


def test_memory_is_bounded() -> None:
    one = Renderings(memory=200 * 2**20, seconds=20.0)
    found = one.all("{{ body|length }}", "fine", body=b"[" + b",".join([b"[[]]"] * 1_500_000) + b"]")
    assert isinstance(found[0], Unsendable)
    one.close()


@pytest.mark.parametrize(
    ("template", "why"), [("{{ a }}", None), ("\n{{ a", "line 2"), ("{{ " + "-" * 16_000 + "1 }}", None)]
)
def test_a_template_is_tried_in_the_renderer_before_it_is_used(template: str, why: str | None) -> None:
    found = OnceRenderers().template_fault(template)
    assert why in found if why and found else found == why


def test_a_renderer_that_never_starts_does_not_hold_up_the_caller() -> None:
    """With 1 MiB of memory, Python does not start."""
    renderers = OnceRenderers(RenderLimits(memory=2**20, longest_pause=0.1), longest=30)
    for _ in range(2):
        with pytest.raises(
            RendererUnavailable, match="The template was not rendered: 3 renderers were killed or failed"
        ):
            renderers.template_fault("x")


def test_no_more_than_so_many_renderers_run_at_once() -> None:
    renderers = OnceRenderers(at_once=1, longest=0.5)
    inside, go_on = Event(), Event()

    def wait(_renderer: Renderer, done: Callable[[bool], None]) -> None:
        inside.set()
        done(go_on.wait(30))

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(renderers.run, wait)
        assert inside.wait(10)
        with pytest.raises(RendererUnavailable, match="Too many"):
            renderers.template_fault("x")
        go_on.set()
        assert first.result(10)
    assert renderers.template_fault("x") is None


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20), st.binary(max_size=20)), max_size=5))
def test_frames_are_read_however_they_are_cut(sent: list[tuple[bytes, bytes, bytes]]) -> None:
    stream = b"".join(packed(*one) for one in sent)
    assert list(Frames().feed(stream)) == sent
    frames = Frames()
    assert [frame for at in range(len(stream)) for frame in frames.feed(stream[at : at + 1])] == sent
