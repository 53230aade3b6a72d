"""Help texts of flags: a field's own text, or else the usual meaning of its name."""

from __future__ import annotations

import ast
import inspect
import io
import re
import textwrap
import tokenize

WORDS = {
    # size and form of the network
    "activation": "activation function between the layers",
    "bidirectional": "read the sequence from both ends",
    "blocks": "residual blocks of each stage",
    "cell": "kind of the recurrent cell",
    "character_features": "filters of the convolution over a word's characters",
    "code": "units of the code, between encoder and decoder",
    "conditional": "generate images of a given class; otherwise of any",
    "crf": "decode tags by a conditional random field; otherwise each by itself",
    "decoder": "kind of the decoder",
    "decoder_layers": "layers of the decoder",
    "depth": "convolutions or residual blocks of each level",
    "dropout": "fraction of the units that are set to 0 in training",
    "embedding": "units of a word's vector",
    "encoder": "kind of the encoder",
    "encoder_layers": "layers of the encoder",
    "experts": "feed-forward networks of a layer, of which a token uses some (0: an ordinary one)",
    "features": "filters or units of the features",
    "grid": "rows and columns of the queries",
    "heads": "attention heads of a layer",
    "hidden": "units of the hidden layer",
    "hops": "times that the memory is read",
    "kv_heads": "attention heads of keys and values, which several query heads share",
    "latent": "units of the latent vector",
    "layers": "number of layers",
    "lengths": "words that filters of each kind span",
    "max_phase": "largest angle in radians of the initial eigenvalues",
    "max_radius": "largest absolute value of the initial eigenvalues",
    "memory": "steps that the gates remember at initialisation",
    "mlp": "kind of the feed-forward network of a layer",
    "network": "which network is trained",
    "norm": "kind of the normalisation",
    "patch": "side in pixels of the squares that become one position of the first layer",
    "pool": "whether a stage pools before or after its first convolution",
    "reader": "kind of the network that reads the text",
    "readout": "input of the hidden layer: all positions, or their mean",
    "rotary": "rotary position embeddings; otherwise learned ones",
    "size": "size of the network's output, or of the images",
    "spectral": "spectral normalisation of the discriminator",
    "states": "complex states of a layer",
    "stem": "channels of the first convolution",
    "width": "units of the hidden vectors, or channels of the convolutions",
    "widths": "units or channels of each layer or stage",
    "word_width": "units of a word's vector",
    "words": "units of a word's vector",
    # data
    "canvas": "height and width of the videos in pixels",
    "chunks": "segments of `context` tokens in a row",
    "context": "tokens that the model sees",
    "dataset": "the prepared data set",
    "delay": "steps between the symbols and their recall",
    "examples": "which training set of the publisher",
    "fold": "number of the cross-validation fold that is the test split",
    "folds": "number of cross-validation folds",
    "frames_in": "frames that the model sees",
    "frames_out": "frames that the model predicts",
    "height": "height of the images in pixels",
    "history": "frames that the model sees, the newest included",
    "length": "tokens of a text that are read; the rest is cut off",
    "longest": "tokens, see the experiment",
    "mask_fraction": "fraction of the tokens that are masked",
    "max_boxes": "boxes of an image at most",
    "overlap": "rows that contain a token: each begins 1/overlap of a row after the one before",
    "permuted": "read the pixels in a fixed random order",
    "pretrained": "start from pretrained parameters",
    "previous": "give the previous steering angles to the model too",
    "question": "words of a question at most",
    "repeats": "repetitions of the cross-validation, each with other folds",
    "reverse": "exchange the two languages",
    "row": "tokens of a row, in which several pairs may stand",
    "scene_objects": "objects of an artificial image at most, with --offline",
    "stride": "words between the starts of two windows",
    "task": "what is to be learned",
    "test_videos": "videos for validation, and as many for test",
    "view": "how an image becomes a sequence: by pixels, rows, or patches",
    "vocabulary": "number of subwords to learn from the text",
    "without": "kinds of documents that are left out",
    # augmentation
    "brightness": "largest relative change of the brightness, at random; 0: none",
    "contrast": "largest relative change of the contrast, at random; 0: none",
    "cutmix": "alpha of CutMix (Yun et al. 2019); 0: none",
    "erase": "side in pixels of a square that is set to 0 at random; 0: none",
    "flip": "mirror training images left to right with probability 1/2",
    "hue": "largest change of the hue, as a fraction of a full turn; 0: none",
    "image_side": "largest height and width of your own images (--data), in pixels",
    "largest": "largest factor by which an image is enlarged, at random",
    "max_shift": "pixels by which training images are moved at random; 0: none",
    "max_side": "largest side of a random box, as a fraction of the image's",
    "min_side": "smallest side of a random box, as a fraction of the image's",
    "mirror": "mirror training images left to right with probability 1/2",
    "mixup": "alpha of mixup (Zhang et al. 2018); 0: none",
    "saturation": "largest relative change of the saturation, at random; 0: none",
    "smallest": "smallest factor by which an image is enlarged, at random",
    "stochastic_depth": "largest rate at which residual blocks are skipped in training",
    "word_dropout": "rate at which words are replaced by the unknown word in training",
    # loss and training
    "alpha": "scale of the trained pairs of low rank: their product is multiplied by alpha / rank",
    "batch": "examples of a batch, over all devices",
    "beta": "strength of the penalty for leaving the reference model",
    "box_weight": "weight of the boxes in the loss",
    "dice": "weight of the Dice loss",
    "ema": "decay per step of an average of the parameters, which is evaluated; 0: no average",
    "intent_weight": "weight of the intent in the loss",
    "k": "units of the code that stay active",
    "label_smoothing": "probability that is moved from the label to all classes",
    "loss": "the training loss",
    "margin": "margin between classes in the loss",
    "objective": "the bound that is maximised",
    "rank": "rank of the pairs of matrices that are trained",
    "remat": "recompute activations in the backward pass, to save memory",
    "right_weight": "weight of the answers that are right",
    "scale": "factor of the cosines in the loss",
    "sparsity": "how the code is kept sparse",
    "steps": "updates of the parameters",
    "style_weight": "weight of the style in the loss",
    "truncate": "carry states over segments, but no gradients",
    "weight": "weight of the penalty in the loss",
    "weighting": "weights of the classes in the cross-entropy",
    # generation and evaluation
    "beams": "sentences that beam search keeps",
    "guidance": "strength of classifier-free guidance in sampling; 1: none",
    "length_penalty": "exponent of the length that divides a sentence's log-probability",
    "nll_images": "test images for the estimate of the log-likelihood",
    "nll_samples": "latent samples of an image for the estimate of the log-likelihood",
    "num_samples": "generated images for the distance to the test images",
    "prompt": "the text that samples continue",
    "samples": "latent samples of an image in training",
    "solver": "method that solves the differential equation",
    "solver_steps": "steps of the solver",
    "temperature": "temperature of sampling; 0: the most probable token",
    "top_k": "tokens among which sampling chooses; 0: all",
    "top_p": "probability of the tokens among which sampling chooses",
}
"""{name of a field: what it means on every page that has no text of its own}"""

SETTINGS = {
    "autoencoder_mnist": {
        "widths": "1000 500 250 (Hinton & Salakhutdinov 2006)",
        "code": "30 (Hinton & Salakhutdinov 2006)",
    },
    "autoencoder_sparse": {
        "code": "1000 (Makhzani & Frey 2014)",
        "k": "25 (Makhzani & Frey 2014)",
    },
    "bert_english": {"mask_fraction": "0.15 (Devlin et al. 2019)"},
    "cnn_sst2": {
        "lengths": "3 4 5 (Kim 2014)",
        "features": "100 (Kim 2014)",
        "dropout": "0.5 (Kim 2014)",
    },
    "gpt_tiny_shakespeare": {
        "layers": "4 (nanoGPT's CPU recipe)",
        "heads": "4 (nanoGPT's CPU recipe)",
        "width": "128 (nanoGPT's CPU recipe)",
        "context": "64 (nanoGPT's CPU recipe)",
        "batch": "12 (nanoGPT's CPU recipe)",
        "steps": "2000 (nanoGPT's CPU recipe)",
        "lr": "1e-3 (nanoGPT's CPU recipe)",
    },
    "mlp_fashion_mnist": {"widths": "256 128 100 (fashion-mnist README)"},
    "qa_babi": {"hops": "3 (Sukhbaatar et al. 2015)"},
    "rnn_copy_memory": {"delay": "1000 (Bai et al. 2018)"},
    "segmentation_camvid": {"size": "360 480 (davidtvs/PyTorch-ENet)"},
}
"""{experiment: {field: its value in the publication that is named}}"""


def words(kind: type, experiment: str = "") -> dict[str, str]:
    """Returns the help texts of a dataclass's fields.

    A field's own text comes first: the string or the comment after it, then its line in the
    docstring's `Attributes`. Otherwise it is that of `WORDS`, then a line of `Attributes` that
    several fields share. The published setting of `SETTINGS` is appended to it.

    Args:
        kind: a dataclass.
        experiment: the experiment whose published settings are added.

    Returns:
        {field: text}, without the fields of which nothing is known.
    """
    alone, shared = _attributes(kind)
    found = {**shared, **WORDS, **alone, **_beside(kind)}
    texts = {
        name: _clean(found[name])
        for name in kind.__dataclass_fields__  # type: ignore[attr-defined]
        if name in found
    }
    for name, value in SETTINGS.get(experiment, {}).items():
        if name in texts:
            texts[name] += f"; published: {value}"
    return texts


def _clean(text: str) -> str:
    return " ".join(text.replace("`", "").split()).removesuffix(".")


def _attributes(kind: type) -> tuple[dict[str, str], dict[str, str]]:
    """The lines of a docstring's `Attributes`: those of one field, and those of several."""
    alone: dict[str, str] = {}
    shared: dict[str, str] = {}
    text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes:\n")[2]
    lines = textwrap.dedent(text.partition("\n\n")[0])
    for entry in re.split(r"\n(?=\S)", lines):
        names, colon, said = entry.partition(":")
        if not colon or not re.fullmatch(r"\w+(, \w+)*", names):
            continue
        each = names.split(", ")
        (alone if len(each) == 1 else shared).update(dict.fromkeys(each, said))
    return alone, shared


def _beside(kind: type) -> dict[str, str]:
    """The strings and the comments that follow fields; those of base classes included."""
    found: dict[str, str] = {}
    for each in reversed(kind.__mro__[:-1]):
        try:
            source = textwrap.dedent(inspect.getsource(each))
        except (OSError, TypeError):  # made at run time
            continue
        comments = {
            token.start[0]: token.string.lstrip("# ")
            for token in tokenize.generate_tokens(io.StringIO(source).readline)
            if token.type == tokenize.COMMENT
        }
        (body,) = (node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
        for node, after in zip(body, [*body[1:], None], strict=True):
            if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
                continue
            text = after.value if isinstance(after, ast.Expr) else None
            if isinstance(text, ast.Constant) and isinstance(text.value, str):
                found[node.target.id] = text.value
            elif node.end_lineno in comments:
                found[node.target.id] = comments[node.end_lineno]
    return found
