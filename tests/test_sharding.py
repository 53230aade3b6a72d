"""One mesh, one layout of the state."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.models.gpt import GPT, TENSOR, Size
from dlcore.train.step import State


@pytest.mark.quick
@pytest.mark.parametrize(
    ("spec", "devices", "shape"),
    [
        ("", 1, (1, 1, 1)),
        ("", 8, (8, 1, 1)),
        ("data=8", 8, (8, 1, 1)),
        ("fsdp=2,data=4", 8, (4, 2, 1)),
        ("tensor=2, data=2 ,fsdp=2", 8, (2, 2, 2)),
    ],
)
def test_mesh_shapes_are_read(spec: str, devices: int, shape: tuple[int, ...]) -> None:
    found = sharding.mesh_shape(spec, devices)
    assert tuple(found) == sharding.AXES
    assert tuple(found.values()) == shape


@pytest.mark.quick
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "batch=8",
            (
                r"--mesh 'batch=8': 'batch=8' is not an axis and a size; write for example"
                r" data=4,fsdp=2,tensor=1"
            ),
        ),
        ("data", "'data' is not an axis and a size"),
        ("data=", "'data=' is not an axis and a size"),
        ("data=-8", "'data=-8' is not an axis and a size"),
        ("data=0", "'data=0' is not an axis and a size"),
        ("data=2.5", "is not an axis and a size"),
        ("data=8,", "'' is not an axis and a size"),
        ("data=²", "'data=²' is not an axis and a size"),
        ("data=4,fsdp=2,data=4", "'data=4' names data again"),
        (
            "data=4,fsdp=4",
            (
                r"needs 4\*4\*1 = 16 devices, but there are 8; give sizes that multiply to 8, or"
                r" leave --mesh out"
            ),
        ),
        ("data=4", r"needs 4\*1\*1 = 4 devices, but there are 8"),
    ],
)
def test_meshes_that_do_not_fit_are_refused_with_a_way_out(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        sharding.mesh_shape(spec, 8)


def test_cpu_devices_that_replicate_the_state_add_in_one_order(devices: list[jax.Device]) -> None:
    """One has nothing to add; and a split state needs the compiler."""
    assert [sharding.layout("auto", "", devices[:n]).how for n in (1, 2, 8)] == [
        "jit",
        "shard_map",
        "shard_map",
    ]
    assert [
        sharding.layout("auto", m).how for m in ("data=8", "data=4,fsdp=2", "data=4,tensor=2")
    ] == ["shard_map", "jit", "jit"]
    assert sharding.layout("jit", "").how == "jit"


@pytest.mark.parametrize("mesh", ["", "data=2,fsdp=2,tensor=2", "fsdp=4,tensor=2"])
def test_devices_lie_in_a_mesh_in_their_own_order(mesh: str, devices: list[jax.Device]) -> None:
    assert layout(mesh).mesh.devices.ravel().tolist() == devices


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
@pytest.mark.parametrize("mesh", ["data=4,fsdp=2", "data=4,tensor=2"])
def test_a_split_state_needs_jit(how: Any, mesh: str) -> None:
    with pytest.raises(
        UsageError, match=f"--parallel {how} replicates the state: .* need --parallel jit"
    ):
        sharding.layout(how, mesh)


def layout(mesh: str) -> sharding.Layout:
    """On eight devices."""
    return sharding.layout("jit", mesh)


def spec(
    mesh: str, shape: tuple[int, ...], path: str = "params", rules: sharding.Rules = ()
) -> tuple[Any, ...]:
    """Where an array of this shape lies, an axis name or None a dimension."""
    tree: Any = jax.ShapeDtypeStruct(shape, jnp.float32)
    for part in reversed(path.split("/")):
        tree = {part: tree}
    found = jax.tree.leaves(sharding.sharding(layout(mesh), tree, rules))[0].spec
    return (*found, *[None] * (len(shape) - len(found)))


@pytest.mark.quick
def test_fsdp_takes_the_largest_dimension_that_it_divides() -> None:
    mesh = "data=2,fsdp=4"
    assert spec(mesh, (8, 12)) == (None, "fsdp")
    assert spec(mesh, (16, 12)) == ("fsdp", None)
    assert spec(mesh, (8, 13)) == ("fsdp", None)  # the larger one does not divide
    assert spec(mesh, (3, 3, 8, 4)) == (None, None, "fsdp", None)
    assert spec(mesh, (5, 7)) == (None, None)
    assert spec(mesh, (2,)) == (None,)
    assert spec(mesh, ()) == ()
    assert spec(mesh, (8, 12), "opt/net/0/mu") == (None, "fsdp")
    assert spec(mesh, (8, 12), "extra/net") == (None, None)
    assert spec("data=8", (8, 16)) == (None, None)


@pytest.mark.quick
def test_rules_come_first_and_fsdp_takes_what_they_leave() -> None:
    rules = ((r"up/kernel", (None, "tensor")), (r"kernel", ("tensor", None)))
    mesh = "data=2,fsdp=2,tensor=2"
    assert spec(mesh, (4, 16), "params/net/up/kernel", rules) == ("fsdp", "tensor")
    assert spec(mesh, (16, 4), "params/net/down/kernel", rules) == ("tensor", "fsdp")
    # two do not divide 15: not split there
    assert spec(mesh, (4, 15), "params/net/up/kernel", rules) == ("fsdp", None)
    # a rule for matrices is none for vectors
    assert spec(mesh, (16,), "params/net/up/kernel", rules) == ("fsdp",)
    assert spec("data=4,tensor=2", (4, 16), "params/net/up/kernel", rules) == (None, "tensor")
    # an axis of one splits nothing
    assert spec("data=8", (4, 16), "params/net/up/kernel", rules) == (None, "tensor")


def test_tensor_rules_lay_out_parameters_and_optimizer_moments_alike() -> None:
    size = Size(vocabulary=16, context=4, layers=1, heads=2, width=8)
    params = {
        "net": jax.eval_shape(
            lambda: GPT(size).init(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))
        )["params"]
    }
    state = State(
        jax.ShapeDtypeStruct((), jnp.int32),
        params,
        {},
        {"net": jax.eval_shape(optax.adam(0.1).init, params["net"])},
    )
    placed = sharding.sharding(layout("data=4,tensor=2"), state, TENSOR)
    for tree in (placed.params["net"], placed.opt["net"][0].mu, placed.opt["net"][0].nu):
        block = tree["block_0"]
        assert block["qkv"]["kernel"].spec == block["up"]["kernel"].spec == P(None, "tensor")
        assert block["out"]["kernel"].spec == block["down"]["kernel"].spec == P("tensor", None)
        assert tree["embed"]["embedding"].spec == P("tensor", None)
        assert "tensor" not in tree["norm"]["scale"].spec
    assert placed.step.spec == P()


@pytest.mark.parametrize(
    ("mesh", "count"), [("", 8), ("data=2,fsdp=2,tensor=2", 4), ("tensor=8", 1)]
)
def test_rows_and_batches_lie_over_the_devices_that_share_a_batch(mesh: str, count: int) -> None:
    here = layout(mesh)
    assert here.devices == count
    np.testing.assert_array_equal(here.local_rows(16), np.arange(16))
    batch = {"x": np.arange(32.0).reshape(16, 2), "row": np.arange(16, dtype=np.int32)}
    laid = here.put(batch, 16)
    jax.block_until_ready(laid)
    for name, array in laid.items():
        np.testing.assert_array_equal(array, batch[name])
        starts = {shard.index[0].start or 0 for shard in array.addressable_shards}
        assert starts == set(range(0, 16, 16 // count))
    np.testing.assert_array_equal(sharding.to_host(laid)["x"], batch["x"])


@pytest.mark.quick
def test_batches_that_do_not_divide_are_refused_with_one_that_does() -> None:
    eight = layout("")
    sharding.check_batch(16, eight, 2)
    with pytest.raises(
        UsageError,
        match="--batch 20 does not divide by 8 devices times 1 microbatches = 8; try --batch 16",
    ):
        sharding.check_batch(20, eight, 1)
    with pytest.raises(UsageError, match="8 devices times 4 microbatches = 32; try --batch 32"):
        sharding.check_batch(3, eight, 4)
    for batch, microbatches in ((0, 1), (8, 0), (-8, 1)):
        with pytest.raises(UsageError, match="both must be at least 1"):
            sharding.check_batch(batch, eight, microbatches)
