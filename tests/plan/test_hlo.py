"""Collectives as they stand in a program: by hand, and in what XLA really prints."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from dlcore.plan import hlo, traffic
from dlcore.plan.collectives import collectives
from dlcore.plan.hlo import parse, size
from dlcore.sharding import layout

MESH = {"data": 2, "fsdp": 2, "tensor": 2}
LOOP = """HloModule step, is_scheduled=true

%add (a: f32[], b: f32[]) -> f32[] {
  %a = f32[] parameter(0)
  %b = f32[] parameter(1)
  ROOT %sum = f32[] add(%a, %b)
}

%body (state: (s32[], f32[4,8])) -> (s32[], f32[4,8]) {
  %state = (s32[], f32[4,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %one = s32[] constant(1)
  %next = s32[] add(%i, %one)
  %x = f32[4,8]{1,0} get-tuple-element(%state), index=1
  %all-reduce.1 = f32[4,8]{1,0} all-reduce(%x), channel_id=1, \
replica_groups={{0,1},{2,3},{4,5},{6,7}}, to_apply=%add
  ROOT %out = (s32[], f32[4,8]{1,0}) tuple(%next, /*index=1*/%all-reduce.1)
}

%condition (state: (s32[], f32[4,8])) -> pred[] {
  %state = (s32[], f32[4,8]{1,0}) parameter(0)
  %i = s32[] get-tuple-element(%state), index=0
  %many = s32[] constant(12)
  ROOT %less = pred[] compare(%i, %many), direction=LT
}

ENTRY %main (x: f32[4,8]) -> f32[4,32] {
  %x = f32[4,8]{1,0:T(8,128)} parameter(0)
  %zero = s32[] constant(0)
  %begin = (s32[], f32[4,8]{1,0}) tuple(%zero, %x)
  %while = (s32[], f32[4,8]{1,0}) while(%begin), condition=%condition, body=%body KNOWN
  %y = f32[4,8]{1,0} get-tuple-element(%while), index=1
  %start = ((f32[4,8]{1,0}), (f32[4,32]{1,0})) all-gather-start(%y), \
channel_id=2, GROUPS, dimensions={1}, metadata={op_name="step/dot"}
  ROOT %z = f32[4,32]{1,0} all-gather-done(%start)
}
"""


def program(known: str = "", groups: str = "replica_groups=[2,4]<=[8]") -> hlo.Program:
    return parse(LOOP.replace("KNOWN", known).replace("GROUPS", groups))


@pytest.mark.quick
@pytest.mark.parametrize("known", ["", ', backend_config={"known_trip_count":{"n":"12"}}'])
def test_a_collective_in_a_loop_counts_as_often_as_the_loop_runs(known: str) -> None:
    reduced, gathered = collectives(program(known), MESH)
    assert (reduced.kind, reduced.count, reduced.bytes, reduced.axes, reduced.group) == (
        "all-reduce",
        12,
        128,
        ("tensor",),
        2,
    )
    assert reduced.sent == 128  # 2 (n - 1) / n
    assert (gathered.kind, gathered.count, gathered.bytes, gathered.axes) == (
        "all-gather",
        1,
        512,
        ("fsdp", "tensor"),
    )
    assert gathered.sent == 384
    assert gathered.source == "step/dot"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("written", "axes", "first"),
    [
        ("replica_groups={{0,4},{1,5},{2,6},{3,7}}", ("data",), (0, 4)),
        ("replica_groups=[4,2]<=[2,2,2]T(0,2,1)", ("fsdp",), (0, 2)),
        ("replica_groups=[4,2]<=[8]", ("tensor",), (0, 1)),
        ("replica_groups=[2,4]<=[4,2]T(1,0)", ("data", "fsdp"), (0, 2, 4, 6)),
        ("replica_groups={}", ("data", "fsdp", "tensor"), tuple(range(8))),
        (
            "replica_groups=mesh['axis_0'=2,'axis_1'=2,'axis_2'=1,'axis_3'=2] {'axis_1'}",
            ("fsdp",),
            (0, 2),
        ),
        (
            "replica_groups=mesh['a'=1,'b'=2,'c'=4], device_ids=([4,2]T(1,0)) {'c'}",
            ("data", "fsdp"),
            (0, 2, 4, 6),
        ),
        ("replica_groups=mesh['a'=8] {'a':(4)2}", ("tensor",), (0, 1)),
        ("replica_groups=mesh['a'=4,'b'=2], device_ids=(0,4,1,5,2,6,3,7) {'b'}", ("data",), (0, 4)),
        (
            "replica_groups=mesh['a'=2,'b'=2,'c'=2], device_ids=(0,4,1,5,2,6,3,7) {'b'}",
            ("tensor",),
            (0, 1),
        ),
        ("replica_groups={{0,1,2},{3,4,5},{6,7}}", (), (0, 1, 2)),
    ],
)
def test_every_way_to_write_groups_names_its_axes(
    written: str, axes: tuple[str, ...], first: tuple[int, ...]
) -> None:
    _, found = collectives(program(groups=written), MESH)
    assert found.axes == axes
    assert found.groups[0] == first


@pytest.mark.quick
def test_groups_in_a_form_that_is_not_known_are_no_guess() -> None:
    with pytest.raises(ValueError, match="unknown notation"):
        collectives(program(groups="replica_groups=torus[4]"), MESH)


@pytest.mark.quick
def test_sizes_of_shapes() -> None:
    assert size("f32[2,3]{1,0}") == 24
    assert size("(bf16[8]{0:T(8,128)(2,1)}, s32[], pred[3])") == 16 + 4 + 3
    assert size("f32[8]{0:T(128)S(1)}", memory=True) == 0  # a TPU's vector memory
    assert size("token[]") == 0


@pytest.mark.quick
def test_a_slice_of_stacked_parameters_counts_as_the_slice() -> None:
    text = """HloModule m

%inner (p: f32[10,100], i: s32[]) -> f32[1,100] {
  %p = f32[10,100]{1,0} parameter(0)
  %i = s32[] parameter(1)
  %zero = s32[] constant(0)
  ROOT %slice = f32[1,100]{1,0} dynamic-slice(%p, %i, %zero), dynamic_slice_sizes={1,100}
}

ENTRY %main (p: f32[10,100], i: s32[]) -> f32[1,100] {
  %p = f32[10,100]{1,0} parameter(0)
  %i = s32[] parameter(1)
  ROOT %fusion = f32[1,100]{1,0} fusion(%p, %i), kind=kLoop, calls=%inner
}
"""
    assert traffic.moved(parse(text)) == 400 + 400 + 4


def test_a_compiled_psum_is_found_with_its_axis(devices: list[jax.Device]) -> None:
    place = layout("jit", "data=2,fsdp=4", devices)

    def f(x: jax.Array) -> jax.Array:
        def once(x: jax.Array, _: None) -> tuple[jax.Array, None]:
            return jnp.sin(jax.lax.psum(x, "fsdp")), None

        return jax.lax.scan(once, x, length=7)[0]

    mapped = jax.jit(
        jax.shard_map(f, mesh=place.mesh, in_specs=P("data"), out_specs=P("data"), check_vma=False)
    )
    text = mapped.lower(jax.ShapeDtypeStruct((16, 5), np.float32)).compile().as_text()
    (found,) = collectives(parse(text), place.mesh.shape)
    assert (found.kind, found.count, found.bytes, found.axes) == (
        "all-reduce",
        7,
        8 * 5 * 4,
        ("fsdp",),
    )
