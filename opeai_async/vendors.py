"""What servers of this API take beyond it, as TypedDicts by vendor: for ``extra_body``, or by name in any call::

    from opeai_async.vendors import VLLMParams

    options: VLLMParams = {"top_k": 40, "chat_template_kwargs": {"enable_thinking": False}}
    await client.chat.completions.create(model=..., messages=..., extra_body=options)

A parameter of one of these is sent where it is given by name, and to any server: which one answers, nobody here knows.
Parameters that the API has too are not repeated. Each class names its source.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypedDict

__all__ = [
    "PARAMETERS",
    "VENDORS",
    "DeepSeekParams",
    "GroqParams",
    "MistralParams",
    "MoonshotParams",
    "OpenRouterParams",
    "QwenParams",
    "SGLangParams",
    "VLLMParams",
    "XAIParams",
]


class Thinking(TypedDict, total=False):
    """Whether to think, and in how many tokens; ``type`` is ``"enabled"``, ``"disabled"`` or ``"auto"``."""

    type: str
    budget_tokens: int
    keep: str


class DeepSeekParams(TypedDict, total=False):
    """DeepSeek, see https://api-docs.deepseek.com/api/create-chat-completion

    Attributes:
        thinking: Whether the model thinks before it answers.
    """

    thinking: Thinking | None


class OpenRouterReasoning(TypedDict, total=False):
    """How OpenRouter lets a model think: by ``effort`` or ``max_tokens``; ``exclude`` keeps it out of the answer."""

    effort: str
    max_tokens: int
    exclude: bool
    enabled: bool
    summary: str


class OpenRouterParams(TypedDict, total=False):
    """OpenRouter, see https://openrouter.ai/docs/api-reference/parameters

    Attributes:
        models: Which to try in turn, if the first cannot answer.
        route: ``"fallback"``.
        provider: Which providers may serve the call, in which order, and what they may keep.
        reasoning: How much to think, whatever the model calls that.
        include_reasoning: The older form of ``reasoning``.
        transforms: What may be done to a prompt that is too long, such as ``["middle-out"]``.
        plugins: What runs beside the model, such as the search of the web.
        usage: ``{"include": True}`` for the price in the answer's usage.
        top_k, min_p, top_a, repetition_penalty: Other ways of drawing a token.
        structured_outputs: Whether the provider must hold to the schema.
        image_config: How pictures are made.
        session_id: Requests of one session go to the same provider.
        trace: What to write beside the call in its log.
    """

    models: Sequence[str]
    route: Literal["fallback"] | None
    provider: Mapping[str, object] | None
    reasoning: OpenRouterReasoning | None
    include_reasoning: bool
    transforms: Sequence[str]
    plugins: Sequence[Mapping[str, object]]
    usage: Mapping[str, object]
    top_k: int
    min_p: float
    top_a: float
    repetition_penalty: float
    structured_outputs: bool
    image_config: Mapping[str, object]
    session_id: str
    trace: Mapping[str, object]


class _Sampling(TypedDict, total=False):
    """What vLLM and SGLang share.

    Attributes:
        top_k: How many of the likeliest tokens are drawn from; -1 for all.
        min_p: A token must be as likely as this share of the likeliest one.
        min_tokens: Length of the answer at least.
        repetition_penalty: Above 1, what was said is said less.
        stop_token_ids: Tokens which end the answer.
        ignore_eos: Go on after the model's own end.
        skip_special_tokens: Leave special tokens out of the text.
        spaces_between_special_tokens: Put spaces between them.
        add_generation_prompt: Begin the assistant's turn in the template.
        continue_final_message: Let the model finish the last message in place of answering it.
        chat_template: Another template of Jinja.
        chat_template_kwargs: What the template may be told, such as ``{"enable_thinking": False}``.
        return_token_ids: Tell the tokens' numbers too.
        priority: Lower goes first, or higher, as the server is set up.
    """

    top_k: int
    min_p: float
    min_tokens: int
    repetition_penalty: float
    stop_token_ids: Sequence[int]
    ignore_eos: bool
    skip_special_tokens: bool
    spaces_between_special_tokens: bool
    add_generation_prompt: bool
    continue_final_message: bool
    chat_template: str
    chat_template_kwargs: Mapping[str, object]
    return_token_ids: bool
    priority: int


class VLLMParams(_Sampling, total=False):
    """vLLM, see https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html

    Attributes:
        best_of, use_beam_search, length_penalty: Search for the likeliest answer among several.
        structured_outputs: ``json``, ``regex``, ``choice``, ``grammar`` or ``structural_tag`` that holds the answer.
        guided_json, guided_regex, guided_choice, guided_grammar, guided_decoding_backend, guided_whitespace_pattern:
            The older form of that.
        prompt_logprobs: How many log probabilities to tell of each token of the prompt.
        truncate_prompt_tokens: Cut the prompt to its last tokens.
        allowed_token_ids, bad_words: What may, or may not, be said.
        include_stop_str_in_output: Leave the text that ended the answer in it.
        echo: Begin the answer with the last message.
        add_special_tokens: Add special tokens to what the template made.
        documents: Texts for templates that look things up.
        mm_processor_kwargs: For pictures and sounds.
        include_reasoning: Whether to tell the thinking.
        thinking_token_budget: How many tokens to think at most.
        return_tokens_as_token_ids: Write tokens as ``token_id:7`` where log probabilities are told.
        cache_salt: Keeps the prompt cache of one user from another's.
        kv_transfer_params: For prefill and decoding on different machines.
        vllm_xargs: For processors of your own.
        request_id: The request's id, for the server's log.
    """

    best_of: int
    use_beam_search: bool
    length_penalty: float
    structured_outputs: Mapping[str, object]
    guided_json: str | Mapping[str, object]
    guided_regex: str
    guided_choice: Sequence[str]
    guided_grammar: str
    guided_decoding_backend: str
    guided_whitespace_pattern: str
    prompt_logprobs: int
    truncate_prompt_tokens: int
    allowed_token_ids: Sequence[int]
    bad_words: Sequence[str]
    include_stop_str_in_output: bool
    echo: bool
    add_special_tokens: bool
    documents: Sequence[Mapping[str, str]]
    mm_processor_kwargs: Mapping[str, object]
    include_reasoning: bool
    thinking_token_budget: int
    return_tokens_as_token_ids: bool
    cache_salt: str
    kv_transfer_params: Mapping[str, object]
    vllm_xargs: Mapping[str, object]
    request_id: str


class SGLangParams(_Sampling, total=False):
    """SGLang, see https://docs.sglang.ai/basic_usage/openai_api_completions.html

    Attributes:
        regex, ebnf, json_schema: What holds the answer.
        no_stop_trim: Leave the text that ended the answer in it.
        stop_regex: A pattern that ends the answer.
        separate_reasoning: Whether thinking comes as ``reasoning_content``.
        stream_reasoning: Whether it is streamed.
        session_params: The session that goes on.
        lora_path: Which adapter.
        custom_logit_processor, custom_params: A processor of your own.
        return_hidden_states: Tell the hidden states too.
        rid: The request's id, for the server's log.
        bootstrap_host, bootstrap_port, bootstrap_room: For prefill and decoding on different machines.
    """

    regex: str
    ebnf: str
    json_schema: str
    no_stop_trim: bool
    stop_regex: str | Sequence[str]
    separate_reasoning: bool
    stream_reasoning: bool
    session_params: Mapping[str, object]
    lora_path: str | Sequence[str]
    custom_logit_processor: str
    custom_params: Mapping[str, object]
    return_hidden_states: bool
    rid: str
    bootstrap_host: str
    bootstrap_port: int
    bootstrap_room: int


class GroqParams(TypedDict, total=False):
    """Groq, see https://console.groq.com/docs/api-reference#chat-create

    Attributes:
        reasoning_format: ``"parsed"``, ``"raw"`` or ``"hidden"``.
        include_reasoning: Whether to tell the thinking.
        search_settings: Which sites are searched.
        compound_custom: Which tools and models a compound system may use.
        documents: Texts to answer from.
        citation_options: ``"enabled"`` or ``"disabled"``.
        disable_tool_validation: Do not check the arguments of calls.
        exclude_domains, include_domains: The older form of ``search_settings``.
    """

    reasoning_format: Literal["parsed", "raw", "hidden"]
    include_reasoning: bool
    search_settings: Mapping[str, object]
    compound_custom: Mapping[str, object]
    documents: Sequence[Mapping[str, object]]
    citation_options: Literal["enabled", "disabled"]
    disable_tool_validation: bool
    exclude_domains: Sequence[str]
    include_domains: Sequence[str]


class MistralParams(TypedDict, total=False):
    """Mistral, see https://docs.mistral.ai/api/#tag/chat

    Attributes:
        safe_prompt: Put a safety prompt before the conversation.
        random_seed: What others call ``seed``.
        prompt_mode: ``"reasoning"`` for the system prompt of thinking models.
        guardrails: What is checked before and after.
    """

    safe_prompt: bool
    random_seed: int
    prompt_mode: Literal["reasoning"] | None
    guardrails: Sequence[Mapping[str, object]]


class XAIParams(TypedDict, total=False):
    """xAI, see https://docs.x.ai/docs/api-reference#chat-completions

    Attributes:
        search_parameters: Whether, where and since when to search.
        deferred: Answer with an id, by which the answer can be had later.
        bootstrap_host, bootstrap_room: For prefill and decoding on different machines.
    """

    search_parameters: Mapping[str, object]
    deferred: bool
    bootstrap_host: str
    bootstrap_room: int


class MoonshotParams(TypedDict, total=False):
    """Moonshot (Kimi), see https://platform.moonshot.ai/docs/api/chat

    Attributes:
        thinking: Whether the model thinks before it answers, and whether earlier thinking is kept.
        partial: Whether the last message is the beginning of the answer.
        cache_tag: A name for the cached prompt.
    """

    thinking: Thinking | None
    partial: bool
    cache_tag: str


class QwenParams(TypedDict, total=False):
    """Qwen by Alibaba Cloud, see https://www.alibabacloud.com/help/en/model-studio/qwen-api-reference

    Attributes:
        enable_thinking: Whether the model thinks before it answers.
        thinking_budget: How many tokens to think at most.
        preserve_thinking: Whether earlier thinking is kept in the prompt.
        enable_search, search_options: Whether and how to search the web.
        top_k: How many of the likeliest tokens are drawn from.
        repetition_penalty: Above 1, what was said is said less.
        enable_code_interpreter: Whether the model may run code.
        vl_high_resolution_images: Whether pictures are looked at closely.
        incremental_output: Send what is new, and not all so far.
        translation_options: For models which translate.
        asr_options: For models which write down speech.
    """

    enable_thinking: bool
    thinking_budget: int
    preserve_thinking: bool
    enable_search: bool
    search_options: Mapping[str, object]
    top_k: int
    repetition_penalty: float
    enable_code_interpreter: bool
    vl_high_resolution_images: bool
    incremental_output: bool
    translation_options: Mapping[str, object]
    asr_options: Mapping[str, object]


VENDORS: dict[str, type] = {
    "DeepSeek": DeepSeekParams,
    "Groq": GroqParams,
    "Mistral": MistralParams,
    "Moonshot": MoonshotParams,
    "OpenRouter": OpenRouterParams,
    "Qwen": QwenParams,
    "SGLang": SGLangParams,
    "vLLM": VLLMParams,
    "xAI": XAIParams,
}
"""The TypedDict of each vendor."""

PARAMETERS: dict[str, tuple[str, ...]] = {
    name: tuple(vendor for vendor, params in VENDORS.items() if name in params.__annotations__)
    for name in sorted({name for params in VENDORS.values() for name in params.__annotations__})
}
"""Who takes each parameter."""
