"""Dicts, JSON and schemas of values: flytekit's results, and errors that are also the kinds it raises."""

from __future__ import annotations

import dataclasses
import json
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime, timezone
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, ValidationError, fields

from taskimage.model.config import ImageConfig
from taskimage.model.errors import MissingKey, TaskImageError, WrongType
from taskimage.model.image import Image

IMAGE = Image("default", "ghcr.io/org/app", tag="v1")
OTHER = Image("spark", "h/spark", digest="sha256:" + "0a" * 32)
CONFIG = ImageConfig.create_from(IMAGE, [OTHER])
ID = UUID("12345678-1234-5678-1234-567812345678")
NOON = datetime(2026, 1, 2, 12, tzinfo=timezone.utc)


class Colour(Enum):
    RED = "red"


TEXT = st.one_of(st.none(), st.text())
IMAGES = st.builds(Image, name=st.text(), fqn=st.text(), tag=TEXT) | st.builds(
    Image, name=st.text(), fqn=st.text(), digest=TEXT
)
CONFIGS = st.builds(
    ImageConfig, default_image=st.none() | IMAGES, images=st.none() | st.lists(IMAGES, max_size=3)
)


@given(st.one_of(IMAGES, CONFIGS))
def test_values_come_back_from_dict_json_and_schema(value: Image | ImageConfig) -> None:
    """from_dict(x.to_dict()) == x, and so for JSON and for the schema."""
    assert type(value).from_dict(value.to_dict()) == value
    assert type(value).from_json(value.to_json()) == value
    assert type(value).schema().loads(value.schema().dumps(value)) == value
    assert value.to_dict() == dataclasses.asdict(value)


@given(st.one_of(IMAGES, CONFIGS), st.booleans(), st.sampled_from([None, 2, "\t"]), st.booleans())
def test_json_is_what_the_json_module_writes(
    value: Image | ImageConfig,
    ensure_ascii: bool,  # noqa: FBT001
    indent: int | str | None,
    sort_keys: bool,  # noqa: FBT001
) -> None:
    """Text that is written the short way is the same text."""
    want = json.dumps(value.to_dict(), ensure_ascii=ensure_ascii, indent=indent, sort_keys=sort_keys)
    assert value.to_json(ensure_ascii=ensure_ascii, indent=indent, sort_keys=sort_keys) == want


class TestFromDict:
    def test_unknown_keys_are_ignored(self) -> None:
        """As flytekit has it."""
        assert Image.from_dict({"name": "a", "fqn": "b", "colour": 1}) == Image("a", "b")

    @pytest.mark.parametrize(
        ("scalar", "text"), [(1, "1"), (1.5, "1.5"), (Decimal("1.0"), "1.0"), (ID, str(ID)), (b"x", "b'x'")]
    )
    def test_a_scalar_is_read_as_its_text(self, scalar: object, text: str) -> None:
        """As flytekit has it."""
        assert Image.from_dict({"name": "a", "fqn": "b", "tag": scalar}).tag == text

    @pytest.mark.parametrize("value", [["a"], ("a",), {"a": 1}, {"a"}, True, False, OrderedDict(a=1)])
    def test_a_list_mapping_or_bool_is_no_text(self, value: object) -> None:
        """Deviation 5: flytekit makes ``"['a']"`` of it; here it is ours and a TypeError, with the place."""
        with pytest.raises(WrongType, match="wanted text") as caught:
            Image.from_dict({"name": "a", "fqn": value})
        assert caught.value.where == "fqn"

    @pytest.mark.parametrize("key", ["name", "fqn"])
    def test_a_missing_key_is_ours_and_a_key_error(self, key: str) -> None:
        """Deviation 5."""
        with pytest.raises(MissingKey, match=f"Image has no '{key}'") as caught:
            Image.from_dict({k: "x" for k in ("name", "fqn") if k != key})
        assert caught.value.key == key
        assert issubclass(MissingKey, KeyError)

    def test_infer_missing_gives_none_and_a_warning(self) -> None:
        """As flytekit has it, in its words."""
        with pytest.warns(
            RuntimeWarning, match="Missing value of non-optional type fqn .* infer_missing=True"
        ):
            assert Image.from_dict({"name": "a"}, infer_missing=True) == Image("a", None)  # type: ignore[arg-type]
        with pytest.warns(RuntimeWarning):
            assert Image.from_dict(None, infer_missing=True).name is None

    def test_an_explicit_none_is_kept_with_a_warning(self) -> None:
        """As flytekit has it."""
        with pytest.warns(RuntimeWarning, match="`NoneType` object value of non-optional type name"):
            assert Image.from_dict({"name": None, "fqn": "b"}).name is None

    def test_a_value_passes_through(self) -> None:
        """What is an Image already is not read again, at any depth."""
        assert Image.from_dict(IMAGE) is IMAGE
        assert ImageConfig.from_dict({"default_image": IMAGE, "images": [IMAGE]}).default_image is IMAGE

    def test_errors_have_the_path_to_the_place(self) -> None:
        """It grows as the error rises."""
        with pytest.raises(WrongType) as caught:
            ImageConfig.from_dict({"images": [{"name": "a", "fqn": "b"}, {"name": "a", "fqn": []}]})
        assert caught.value.where == "images[1].fqn"
        with pytest.raises(MissingKey) as missing:
            ImageConfig.from_dict({"default_image": {"name": "a"}})
        assert missing.value.where == "default_image"

    @pytest.mark.parametrize("kvs", [None, [], "x", b"x", 1, 1.5, True, [("name", "a")], object()])
    def test_what_is_no_mapping_is_refused(self, kvs: object) -> None:
        """flytekit stumbles over it with an AttributeError."""
        for cls in (Image, ImageConfig):
            with pytest.raises(WrongType):
                cls.from_dict(kvs)

    @pytest.mark.parametrize("images", ["ab", {"a": 1}, 1, True, [1], [None], ["x"]])
    def test_images_are_a_list_of_images(self, images: object) -> None:
        """Nothing else is walked through."""
        with pytest.raises(WrongType):
            ImageConfig.from_dict({"images": images})


class TestFromJson:
    def test_every_argument_of_loads_is_honoured(self) -> None:
        """parse_float, parse_int, parse_constant, and what loads itself takes."""
        text = '{"name": 1.50, "fqn": 7, "tag": NaN}'
        image = Image.from_json(
            text, parse_float=Decimal, parse_int=lambda n: f"<{n}>", parse_constant=lambda c: f"({c})"
        )
        assert image == Image("1.50", "<7>", "(NaN)")
        lower: dict[str, Any] = {
            "object_pairs_hook": lambda pairs: {key.lower(): value for key, value in pairs}
        }
        assert Image.from_json('{"NAME": "a", "FQN": "\t"}', strict=False, **lower) == Image("a", "\t")
        assert Image.from_json(b'{"name": "a", "fqn": "b"}') == Image("a", "b")

    @pytest.mark.parametrize("text", ["", "{", "nope", b"\xff", '{"name": "a"'])
    def test_what_is_not_json_is_a_value_error(self, text: str | bytes) -> None:
        """The json module's own error, which code around it catches."""
        with pytest.raises(ValueError, match=r"."):
            Image.from_json(text)

    def test_an_argument_that_there_is_not_is_a_type_error(self) -> None:
        """As flytekit has it."""
        with pytest.raises(TypeError):
            Image.from_json("{}", bogus=1)

    def test_deep_and_long_text_is_refused_in_linear_time(self) -> None:
        """No recursion error comes out, and no hang."""
        started = time.perf_counter()
        for text in ("[" * 10_000_000, '{"name":' * 1_000_000, "9" * 10_000_000):
            with pytest.raises((TaskImageError, ValueError)):
                Image.from_json(text)
        assert time.perf_counter() - started < 10


class TestToJson:
    def test_every_argument_of_dumps_is_honoured(self) -> None:
        """indent, separators, ensure_ascii, sort_keys."""
        image = Image("ä", "b")
        assert image.to_json() == '{"name": "\\u00e4", "fqn": "b", "tag": null, "digest": null}'
        assert image.to_json(ensure_ascii=False, separators=(",", ":"), sort_keys=True) == (
            '{"digest":null,"fqn":"b","name":"ä","tag":null}'
        )
        assert image.to_json(indent=1).startswith('{\n "name"')

    def test_cls_is_a_type_error(self) -> None:
        """As flytekit has it."""
        with pytest.raises(TypeError, match="cls"):
            IMAGE.to_json(cls=json.JSONEncoder)

    @pytest.mark.parametrize(
        ("value", "written"),
        [
            *((ID, f'"{ID}"'), (NOON, "1767355200.0"), (Decimal("1.0"), '"1.0"'), (Colour.RED, '"red"')),
            *(({1: (2,)}, '{"1": [2]}'), (b"x", "[120]"), (1, "1"), (IMAGE, IMAGE.to_json())),
        ],
    )
    def test_what_json_has_not_is_written_as_flytekit_writes_it(self, value: Any, written: str) -> None:
        """UUID, datetime, Decimal, Enum, collections."""
        assert json.loads(Image("a", value).to_json())["fqn"] == json.loads(written)

    def test_default_takes_the_place_of_that(self) -> None:
        """As in json.dumps."""
        assert '"seen"' in Image("a", ID).to_json(default=lambda _: "seen")  # type: ignore[arg-type]

    def test_what_cannot_be_written_is_ours_and_a_type_error(self) -> None:
        """The error shows the value."""
        with pytest.raises(WrongType, match="cannot write <object"):
            Image("a", object()).to_json()  # type: ignore[arg-type]


class TestToDict:
    def test_it_is_a_copy(self) -> None:
        """What is done to it is not done to the value."""
        inner: Any = {"x": [1]}
        document = Image("a", inner).to_dict()
        document["fqn"]["x"].append(2)
        assert inner == {"x": [1]}

    def test_encode_json_leaves_only_what_json_has(self) -> None:
        """And without it values stay as they are."""
        image = Image("a", ID, (NOON,))  # type: ignore[arg-type]
        assert image.to_dict()["fqn"] == ID
        assert image.to_dict(encode_json=True) == {
            "name": "a", "fqn": str(ID), "tag": [NOON.timestamp()], "digest": None,
        }  # fmt: skip
        nested: Any = {"x": {"y": ID}}
        assert Image("a", nested).to_dict(encode_json=True)["fqn"] == {"x": {"y": str(ID)}}


class TestSchema:
    def test_it_is_a_marshmallow_schema_and_warns_of_nothing(self) -> None:
        """flytekit's prints three warnings."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            schema = Image.schema(context={"a": 1})
        assert isinstance(schema, Schema)
        assert type(schema).__name__ == "ImageSchema"
        assert schema.context == {"a": 1}  # type: ignore[attr-defined]

    def test_its_class_is_made_once(self) -> None:
        """A schema is cheap then; each has a context of its own."""
        one, other = Image.schema(context={"a": 1}), Image.schema()
        assert type(one) is type(other) is not type(ImageConfig.schema())
        assert other.context == {}  # type: ignore[attr-defined]

    def test_load_and_dump(self) -> None:
        """load gives Images; scalars are read as their text."""
        assert Image.schema().load({"name": 1, "fqn": "b"}) == Image("1", "b")
        assert Image.schema().dump(IMAGE) == IMAGE.to_dict()
        assert Image.schema(many=True).load([IMAGE.to_dict()]) == [IMAGE]
        assert Image.schema(many=True).dump([IMAGE, OTHER]) == [IMAGE.to_dict(), OTHER.to_dict()]
        assert Image.schema().dumps(Image("a", ID)) == Image("a", ID).to_json()  # type: ignore[arg-type]

    def test_dumps_writes_what_json_has_not(self) -> None:
        """An ImageConfig's images too, over which flytekit's stumbles; an encoder of one's own comes first."""
        assert json.loads(ImageConfig.schema().dumps(CONFIG)) == CONFIG.to_dict()
        odd: Any = MappingProxyType({"x": ID})
        assert json.loads(Image.schema().dumps(Image("a", odd)))["fqn"] == {"x": str(ID)}
        with pytest.raises(TypeError, match="UUID is not JSON serializable"):
            Image.schema().dumps(Image("a", ID), cls=json.JSONEncoder)  # type: ignore[arg-type]

    def test_a_missing_key_is_a_key_error(self) -> None:
        """As flytekit has it, where marshmallow would say ValidationError."""
        with pytest.raises(MissingKey):
            Image.schema().load({"fqn": "b"})

    def test_partial_fills_in_none(self) -> None:
        """With a RuntimeWarning, as flytekit has it."""
        for partial in (True, ("name",)):
            with pytest.warns(RuntimeWarning):
                assert Image.schema(partial=partial).load({"fqn": "b"}).name is None

    def test_unknown_keys_are_refused_unless_asked_otherwise(self) -> None:
        """raise, exclude and include are marshmallow's."""
        document = {"name": "a", "fqn": "b", "x": 1}
        with pytest.raises(ValidationError, match="Unknown field"):
            Image.schema().load(document)
        assert Image.schema(unknown="exclude").load(document) == Image("a", "b")
        assert Image.schema(unknown="include").load(document) == Image("a", "b")

    def test_null_is_refused_for_what_must_be_there(self) -> None:
        """And allowed for tag and digest."""
        with pytest.raises(ValidationError, match="may not be null"):
            Image.schema().load({"name": None, "fqn": "b"})
        assert Image.schema().load({"name": "a", "fqn": "b", "tag": None}) == Image("a", "b")

    def test_fields_are_chosen(self) -> None:
        """only, exclude, load_only and dump_only are marshmallow's."""
        assert Image.schema(only=("name", "tag")).dump(IMAGE) == {"name": "default", "tag": "v1"}
        assert Image.schema(exclude=("fqn",)).dump(IMAGE).keys() == {"name", "tag", "digest"}
        assert "tag" not in Image.schema(load_only=("tag",)).dump(IMAGE)
        with pytest.raises(ValidationError):
            Image.schema(dump_only=("tag",)).load(IMAGE.to_dict())
        with pytest.raises(ValueError, match="zzz"):
            Image.schema(only=("zzz",))

    def test_defaults_are_for_dumping_or_for_loading(self) -> None:
        """infer_missing changes the side."""
        assert Image.schema().dump({"name": "a"}) == {"name": "a", "tag": None, "digest": None}
        assert Image.schema(infer_missing=True).dump({"name": "a"}) == {"name": "a"}

    def test_it_can_be_nested_in_the_users_own(self) -> None:
        """A schema with the same name is no trouble."""

        class ImageSchema(Schema):
            image = fields.Nested(Image.schema())

        assert ImageSchema().load({"image": {"name": "a", "fqn": "b"}}) == {"image": Image("a", "b")}
        assert ImageConfig.schema().load(CONFIG.to_dict()) == CONFIG


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["name", "fqn", "tag", "images"]) | st.text(), inner)
    ),
    max_leaves=8,
)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(
    "door",
    [Image.from_dict, ImageConfig.from_dict, Image.from_json, ImageConfig.from_json],
    ids=lambda door: door.__qualname__,
)
@given(value=ANYTHING)
def test_anything_gives_a_value_or_an_error_of_the_right_kind(
    door: Callable[[Any], object], value: Any
) -> None:
    """Every input that is refused is refused as ours, or as the json module's ValueError."""
    try:
        door(value)
    except (TaskImageError, ValueError):
        return


def test_subclasses_read_and_write_themselves() -> None:
    """from_dict gives the class it is called on, and JSON has the fields that it adds."""

    @dataclasses.dataclass(frozen=True)
    class Mine(Image):
        pass

    assert type(Mine.from_dict(IMAGE.to_dict())) is Mine

    @dataclasses.dataclass(frozen=True)
    class More(Image):
        größe: str | None = None  # noqa: PLC2401 - JSON escapes it

    more = More("a", "b", größe="10")
    assert json.loads(more.to_json()) == {**Image("a", "b").to_dict(), "größe": "10"}
    assert more.to_json() == json.dumps(more.to_dict())
    assert More.from_json(more.to_json()) == more
