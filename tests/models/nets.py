"""Every network at a tiny size, with the arguments that it is called with."""

from __future__ import annotations

from typing import Any

import numpy as np

from dlcore.kernels.latent import bernoulli_log_density
from dlcore.models import (
    adain,
    attention_gru,
    autoencoder,
    bert,
    bert_original,
    captioning,
    char_rnn,
    cnn,
    contrastive,
    convlstm,
    cyclegan,
    detector,
    embedding,
    encoder,
    encoder_reader,
    gan,
    gpt,
    lru,
    memory_reader,
    mlp,
    policy,
    reader,
    resnet,
    rnn,
    segmenter,
    seq2seq,
    set_detector,
    style,
    tagger,
    temperature,
    text_cnn,
    unet,
    vae,
    vit,
)

TOKENS = np.ones((2, 5), np.int32)
FLAGS = np.ones((2, 5, 4), np.uint8)
LABELS = np.zeros(2, np.int32)
IMAGES = np.zeros((2, 8, 8, 1), np.float32)
PICTURES = np.zeros((2, 16, 16, 3), np.float32)
VIDEOS = np.zeros((2, 3, 8, 8, 1), np.float32)
SERIES = np.zeros((2, 5, 3), np.float32)
SIZE = gpt.Size(7, 6, layers=1, heads=2, width=8)
VARIANT = gpt.Size(7, 6, 3, 2, 8, rotary=True, kv_heads=1, norm="rms", mlp="swiglu", scan=True)
PLACES = encoder.Size(1, 2, 8, context=9, positions="learned")
PLACES_OF_PAIRS = encoder.Size(1, 2, 8, context=13, positions="learned")
CHARACTERS = np.ones((2, 5, 4), np.int32)
LENGTHS = np.array([5, 3], np.int32)
TAGS = tagger.Size(7, 6, 3, 2, 4, 4, 4, 4)
READING = TAGS._replace(intents=0, layers=0, vocabulary=7, encoder=PLACES)
TRANSLATORS: dict[str, tuple[Any, Any, Any]] = {
    "seq2seq": (seq2seq, seq2seq.Seq2Seq, seq2seq.Size(7, 1, 1, 2, 8)),
    "attention_gru": (attention_gru, attention_gru.AttentionGRU, attention_gru.Size(7, 1, 8)),
}

NETS: dict[str, tuple[Any, tuple[np.ndarray, ...]]] = {
    "gpt": (gpt.GPT(SIZE), (TOKENS,)),
    "gpt with biases": (gpt.GPT(gpt.Size(7, 6, 1, 2, 8, biases=True)), (TOKENS,)),
    "gpt of its variants": (gpt.GPT(VARIANT), (TOKENS,)),
    "gpt of experts": (gpt.GPT(gpt.Size(7, 6, 1, 2, 8, mlp="swiglu", experts=3)), (TOKENS,)),
    "bert as published": (
        bert_original.OriginalBert(7, PLACES),
        (TOKENS, np.ones((2, 5), bool), np.zeros((2, 5), np.int32)),
    ),
    "bert": (bert.Masked(7, PLACES), (TOKENS, TOKENS)),
    "span reader": (
        reader.SpanReader(reader.Size(7, 8, 6, 4)),
        (TOKENS, TOKENS, FLAGS, FLAGS, FLAGS, FLAGS),
    ),
    "encoder reader": (
        encoder_reader.EncoderReader(7, PLACES_OF_PAIRS, 1),
        (TOKENS, TOKENS, FLAGS, FLAGS),
    ),
    "memory reader": (
        memory_reader.MemoryReader(memory_reader.Size(7, 3, 4, 8)),
        (np.ones((2, 4, 5), np.int32), TOKENS),
    ),
    "bert classifier": (bert.Classifier(7, PLACES, 3), (TOKENS,)),
    **{name: (net(size), (TOKENS,) * 4) for name, (_, net, size) in TRANSLATORS.items()},
    "tagger": (tagger.Tagger(TAGS), (TOKENS, CHARACTERS, LENGTHS)),
    "tagger with an encoder": (
        tagger.Tagger(READING),
        (TOKENS, CHARACTERS, LENGTHS, TOKENS, TOKENS),
    ),
    "gru": (rnn.Reader(rnn.RNN("gru", 4, bidirectional=True, memory=5), 3), (SERIES,)),
    "lstm": (char_rnn.CharRNN(rnn.RNN("lstm", 4, memory=5), 3), (TOKENS,)),
    "elman": (rnn.Reader(rnn.RNN("elman", 4, layers=2, gain=0.9), 3), (SERIES,)),
    "cnn": (cnn.CNN((4, 6), 8, 3, norm="batch"), (IMAGES,)),
    "resnet": (resnet.ResNet((8,), (1,), 3, stem=4), (IMAGES,)),
    "vit": (vit.ViT(encoder.Size(1, 2, 8), 4, 3), (IMAGES,)),
    "text cnn": (text_cnn.TextCNN(7, 4, (2, 3), 5, 3), (TOKENS,)),
    "text rnn": (text_cnn.TextRNN(7, 4, rnn.RNN("lstm", 4, bidirectional=True), 3), (TOKENS,)),
    "mlp": (mlp.Many(2, (4,), 3, norm="layer"), (np.zeros((2, 3, 4), np.float32),)),
    "lru": (lru.Classifier(8, 4, 1, 3), (SERIES,)),
    "unet": (unet.UNet(4), (IMAGES, np.zeros(2, np.float32), LABELS)),
    "segmenter": (segmenter.Segmenter((4, 6), (0, 1), 3), (IMAGES,)),
    "verifiers": (embedding.Verifiers(2, 3, embedding.ConvEmbedder((4,), 5)), (IMAGES,)),
    "local verifiers": (
        embedding.Verifiers(2, 3, embedding.LocalEmbedder((4,), 2), deviation=0.01),
        (IMAGES,),
    ),
    "policy": (
        policy.ConvPolicy((4,), 5),
        (np.zeros((2, 1, 8, 8, 1), np.float32), LABELS[:, None]),
    ),
    "contrastive": (
        contrastive.Contrastive(resnet.ResNet((4,), (1,), 0, stem=4), 6, 5, 3),
        (IMAGES,),
    ),
    "detector": (detector.CentreDetector((4, 6), (1, 1), 3, groups=2), (PICTURES,)),
    "set detector": (
        set_detector.SetDetector((4, 6), (1, 0), 3, 4, 2, grid=2, layers=2, heads=2, width=8),
        (PICTURES,),
    ),
    "captioner": (captioning.Captioner(captioning.Size(7, 5, 8, "gru")), (PICTURES, TOKENS)),
    "captioner of blocks": (
        captioning.Captioner(captioning.Size(7, 5, 8, "transformer", 1, 2)),
        (PICTURES, TOKENS),
    ),
    "vgg": (style.VGG(2), (PICTURES,)),
    "painter": (style.Painter(6, 1), (PICTURES,)),
    "style decoder": (adain.Decoder(6), (np.zeros((2, 2, 2, 16), np.float32),)),
    "convlstm": (convlstm.ConvLSTM(3, (4, 5), patch=2), (VIDEOS,)),
    "video convolutions": (convlstm.Convolutional(3, 4, 8, (1, 1), patch=2), (VIDEOS,)),
    "image translator": (cyclegan.Translator(4, 1), (IMAGES,)),
    "patch critic": (cyclegan.PatchCritic(4), (IMAGES,)),
    "temperature": (temperature.Temperature(), (np.zeros((2, 3), np.float32),)),
    "generator": (gan.Generator(8, 2, 1, 3), (np.zeros((2, 4), np.float32), LABELS)),
    "discriminator": (gan.Discriminator(8, 3), (IMAGES, LABELS)),
    "autoencoder": (
        autoencoder.Autoencoder(
            autoencoder.ConvEncoder((4, 6), 2), autoencoder.ConvDecoder((6, 4), depth=2)
        ),
        (IMAGES,),
    ),
    "vae": (
        vae.VAE(
            vae.ConvPosterior((4, 6), 3), vae.ConvLikelihood((6, 4), 2), 3, bernoulli_log_density
        ),
        (IMAGES, SERIES),
    ),
}
