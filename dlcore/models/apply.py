"""The only place where training code touches Flax: a module applied to the parameters and extra
state of its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
from jax import Array


def apply(
    net: nn.Module,
    name: str,
    params: Mapping[str, Any],
    extra: Mapping[str, Any],
    *args: Any,
    key: Array | None = None,
    **kwargs: Any,
) -> tuple[Any, dict[str, Any]]:
    """`net(*args, **kwargs)` with params[name] and extra[name]; the output, and `extra` as it
    stands afterwards.

    Extra collections (batch statistics) change when `train=True` is among the keywords, and stay as
    they are otherwise.
    """
    own = extra.get(name, {})
    rngs = {} if key is None else {"dropout": key}
    variables = {"params": params[name], **own}
    if not (own and kwargs.get("train")):
        return net.apply(variables, *args, rngs=rngs, **kwargs), dict(extra)
    y, changed = net.apply(variables, *args, rngs=rngs, mutable=list(own), **kwargs)
    return y, {**extra, name: dict(changed)}


def outputs(run: Callable[[], Any]) -> dict[str, Array]:
    """What each module returned while `run()` ran, by its path, in the order of their ends; modules
    that return no array left out.

    `run` may stand inside one traced function, but no rematerialised or scanned module inside
    `run`: what these see stays there.
    """
    seen: dict[str, Array] = {}

    def keep(
        f: Callable[..., Any], args: Any, kwargs: Any, context: nn.module.InterceptorContext
    ) -> Any:
        y = f(*args, **kwargs)
        if context.method_name == "__call__" and isinstance(y, Array):
            seen["/".join(context.module.path)] = y
        return y

    with nn.intercept_methods(keep):
        run()
    return seen
