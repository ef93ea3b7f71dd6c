"""Exported runs in the libraries that train on them: `datasets`, TRL, and steps that learn.

Nothing is downloaded: the model has random weights and the tokenizer knows bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from qwenbelt.agents import FnCallAgent
from qwenbelt.apps import cli
from qwenbelt.core.trace import TraceWriter
from qwenbelt.testing import Scenario, ScriptedServer

_WANTED = "needs pip install --group training (torch, transformers, datasets, trl)"
pytestmark = [
    pytest.mark.training,
    # of these libraries among each other
    pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning"),
]
torch = pytest.importorskip("torch", reason=_WANTED)
transformers = pytest.importorskip("transformers", reason=_WANTED)
datasets = pytest.importorskip("datasets", reason=_WANTED)
trl = pytest.importorskip("trl", reason=_WANTED)

KEY = "sk-abcdefghijklmnopqrstuvwx"
# ChatML as Qwen writes it; what is between the generation marks counts in the loss
TEMPLATE = (
    "{% for tool in tools or [] %}<tool>{{ tool | tojson }}</tool>\n{% endfor %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' %}{% generation %}{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}"
    "<|im_end|>\n{% endgeneration %}"
    "{% else %}{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
)


def square(number: int) -> str:
    """Squares a number.

    Args:
        number: any.
    """
    if number > 100:
        raise ValueError("too large")
    return f"{number} * {number} = {number * number}"


def spell(word: str) -> str:
    """Spells a word.

    Args:
        word: any.
    """
    return "-".join(word)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten runs of five tasks, the second of each with a call that fails."""
    folder = tmp_path_factory.mktemp("runs")
    for number in range(10):
        task, clumsy = number // 2, number % 2
        tool = spell if task == 4 else square
        call: dict[str, Any] = {"word": "oak"} if task == 4 else {"number": task}
        calls = [(tool.__name__, call)] + [(tool.__name__, {"number": 200 + task})] * clumsy
        answer = f"It is {task}." if not clumsy else f"Perhaps {task}, or so."
        script = Scenario().turn(calls=calls).answer(answer)
        path = folder / f"{number}.jsonl"
        with ScriptedServer(script) as server, TraceWriter(path) as trace:
            agent = FnCallAgent([tool], llm=server.llm, system_message="You count.")
            question = f"Task {task}, please. My key is {KEY}."
            agent.run_nonstream([{"role": "user", "content": question}], trace=trace)
    return folder


def exported(runs: Path, form: str, folder: Path) -> Any:
    """The lines of an export, and the same as `datasets` loads them."""
    out = folder / f"{form}.jsonl"
    assert cli.run(["trace", "export", str(runs), "--format", form, "--out", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert KEY not in out.read_text(encoding="utf-8")
    cache = str(folder / "cache")
    return lines, datasets.load_dataset("json", data_files=str(out), split="train", cache_dir=cache)


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.setenv(name, "1")


@pytest.mark.usefixtures("offline")
@pytest.mark.parametrize(("form", "count"), [("openai", 10), ("sharegpt", 10), ("dpo", 5)])
def test_datasets_loads_what_was_written(runs: Path, tmp_path: Path, form: str, count: int) -> None:
    lines, loaded = exported(runs, form, tmp_path)
    assert len(lines) == count
    assert [dict(row) for row in loaded] == lines


@pytest.mark.usefixtures("offline")
def test_trl_knows_the_forms(runs: Path, tmp_path: Path) -> None:
    _, conversations = exported(runs, "openai", tmp_path)
    _, sharegpt = exported(runs, "sharegpt", tmp_path)
    _, pairs = exported(runs, "dpo", tmp_path)
    assert all(trl.is_conversational(row) for row in conversations)
    assert all(trl.is_conversational(row) for row in pairs)
    assert all(trl.is_conversational_from_value(row) for row in sharegpt)
    texts = [trl.apply_chat_template(dict(row), tokenizer()) for row in pairs]
    assert all("It is" in text["chosen"] for text in texts)
    assert all("Perhaps" in text["rejected"] for text in texts)


def tokenizer() -> Any:
    """One token a byte, with the marks of ChatML."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    marks = ["<pad>", "<|im_start|>", "<|im_end|>"]
    alphabet = marks + sorted(pre_tokenizers.ByteLevel.alphabet())
    raw = Tokenizer(models.BPE({token: n for n, token in enumerate(alphabet)}, []))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token=marks[0],
        eos_token=marks[2],
        additional_special_tokens=marks[1:2],
    )
    made.chat_template = TEMPLATE
    return made


@pytest.mark.usefixtures("offline")
def test_steps_of_fine_tuning_learn(runs: Path, tmp_path: Path) -> None:
    _, conversations = exported(runs, "openai", tmp_path)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    words = tokenizer()
    config = transformers.Qwen2Config(
        vocab_size=len(words),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        pad_token_id=words.pad_token_id,
        eos_token_id=words.eos_token_id,
    )
    trainer = trl.SFTTrainer(
        model=transformers.Qwen2ForCausalLM(config),
        args=trl.SFTConfig(
            output_dir=str(tmp_path / "out"),
            use_cpu=True,
            bf16=False,
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            max_steps=12,
            learning_rate=5e-3,
            lr_scheduler_type="constant",
            per_device_train_batch_size=10,
            logging_steps=1,
            max_length=2048,
            assistant_only_loss=True,
        ),
        train_dataset=conversations,
        processing_class=words,
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    print("loss:", " ".join(f"{loss:.2f}" for loss in losses))
    assert len(losses) == 12
    assert losses[-1] < 0.8 * losses[0]
