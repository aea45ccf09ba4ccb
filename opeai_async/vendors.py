"""What servers of this API take beyond it, as TypedDicts by vendor: for ``extra_body``, or by name in any call::

    from opeai_async.vendors import VLLMParams

    options: VLLMParams = {"top_k": 40, "chat_template_kwargs": {"enable_thinking": False}}
    await client.chat.completions.create(model=..., messages=..., extra_body=options)

A parameter of one of these is sent where it is given by name, and to any server: which one answers, nobody here knows.
Parameters that the API has too are not repeated. Each class names its source, and was held against it on 2026-12-01:
vLLM, SGLang, Groq, Mistral and OpenRouter against the code of their servers or clients, the others against their pages.
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


class DeepSeekThinking(TypedDict, total=False):
    """Whether to think: ``{"type": "enabled"}`` or ``{"type": "disabled"}``."""

    type: Literal["enabled", "disabled"]


class DeepSeekParams(TypedDict, total=False):
    """DeepSeek, see https://api-docs.deepseek.com/api/create-chat-completion

    Attributes:
        thinking: Whether the model thinks before it answers; it does if this is left out.
        user_id: Stands for your user: keeps caches and limits of several apart. Letters, digits, ``-`` and ``_``.
    """

    thinking: DeepSeekThinking | None
    user_id: str


class OpenRouterReasoning(TypedDict, total=False):
    """How OpenRouter lets a model think: by ``effort`` or ``max_tokens``; ``exclude`` keeps it out of the answer."""

    effort: str | None
    max_tokens: int
    exclude: bool
    enabled: bool
    summary: str | None


class OpenRouterParams(TypedDict, total=False):
    """OpenRouter, see https://openrouter.ai/docs/api/api-reference/chat/send-chat-completion-request

    Attributes:
        models: Which to try in turn, if the first cannot answer.
        provider: Which providers may serve the call, in which order, at which price, and what they may keep.
        reasoning: How much to think, whatever the model calls that.
        plugins: What runs beside the model, such as the search of the web.
        top_k, min_p, top_a, repetition_penalty: Other ways of drawing a token.
        cache_control: That the prompt is cached, for models that want to be told: ``{"type": "ephemeral"}``.
        image_config: How pictures are made.
        session_id: Requests of one session are shown together, and go to the same provider.
        trace: Names for the call in the traces that are sent on.
        debug: ``{"echo_upstream_body": True}`` sends what the provider was sent, first in a stream.
        deferred_tools: How tools are found that are not told to the model at once.
        stop_server_tools_when: When the server stops to run its own tools.
        structured_outputs: Whether the provider must hold to the schema.
        route: ``"fallback"``; an older form of ``models``.
        include_reasoning: An older form of ``reasoning``.
        transforms: An older form of a plugin: what is done to a prompt that is too long, such as ``["middle-out"]``.
        usage: ``{"include": True}``; older, as the price is always told now.
    """

    models: Sequence[str]
    provider: Mapping[str, object] | None
    reasoning: OpenRouterReasoning | None
    plugins: Sequence[Mapping[str, object]]
    top_k: int | None
    min_p: float | None
    top_a: float | None
    repetition_penalty: float | None
    cache_control: Mapping[str, object]
    image_config: Mapping[str, object]
    session_id: str
    trace: Mapping[str, object]
    debug: Mapping[str, object]
    deferred_tools: Mapping[str, object]
    stop_server_tools_when: Sequence[Mapping[str, object]]
    structured_outputs: bool
    route: Literal["fallback"] | None
    include_reasoning: bool
    transforms: Sequence[str]
    usage: Mapping[str, object]


class _Sampling(TypedDict, total=False):
    """What vLLM and SGLang share.

    Attributes:
        top_k: How many of the likeliest tokens are drawn from.
        min_p: A token must be as likely as this share of the likeliest one.
        min_tokens: Length of the answer at least.
        repetition_penalty: Above 1, what was said is said less.
        stop_token_ids: Tokens which end the answer.
        ignore_eos: Go on after the model's own end.
        skip_special_tokens: Leave special tokens out of the text.
        continue_final_message: Let the model finish the last message in place of answering it.
        chat_template_kwargs: What the template may be told, such as ``{"enable_thinking": False}``.
        return_token_ids: Tell the tokens' numbers too.
        priority: Lower goes first, or higher, as the server is set up.
        cache_salt: Keeps the prompt cache of one user from another's.
        session_id: The same for all requests of one conversation.
    """

    top_k: int | None
    min_p: float | None
    min_tokens: int
    repetition_penalty: float | None
    stop_token_ids: Sequence[int] | None
    ignore_eos: bool
    skip_special_tokens: bool
    continue_final_message: bool
    chat_template_kwargs: Mapping[str, object] | None
    return_token_ids: bool | None
    priority: int
    cache_salt: str | None
    session_id: str | None


class VLLMParams(_Sampling, total=False):
    """vLLM, see https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#chat-api

    Attributes:
        use_beam_search, length_penalty: Search for the likeliest answer among ``n``.
        structured_outputs: ``json``, ``regex``, ``choice``, ``grammar`` or ``structural_tag`` that holds the answer.
        guided_json, guided_regex, guided_choice, guided_grammar, guided_decoding_backend, guided_whitespace_pattern:
            What versions before 0.12 take in place of ``structured_outputs``.
        best_of: How many answers to draw before the best ``n``; of early versions.
        prompt_logprobs: How many log probabilities to tell of each token of the prompt; -1 for all.
        logprob_token_ids: Tokens of which log probabilities are told at each position.
        truncate_prompt_tokens, truncation_side: Cut the prompt to so many tokens, at its ``"left"`` or ``"right"``.
        allowed_token_ids, bad_words: What may, or may not, be said.
        include_stop_str_in_output: Leave the text that ended the answer in it.
        spaces_between_special_tokens: Put spaces between special tokens.
        add_generation_prompt: Begin the assistant's turn in the template.
        chat_template: Another template of Jinja.
        echo: Begin the answer with the last message.
        add_special_tokens: Add special tokens to what the template made.
        documents: Texts for templates that look things up.
        media_io_kwargs, mm_processor_kwargs: How pictures, sounds and films are read.
        include_reasoning: Whether to tell the thinking.
        thinking_token_budget: How many tokens to think at most.
        return_tokens_as_token_ids: Write tokens as ``token_id:7`` where log probabilities are told.
        return_prompt_text: Tell the prompt that the template made.
        routed_experts_prompt_start: How many tokens of the prompt to leave out of the experts that are told.
        kv_transfer_params, ec_transfer_params: For prefill and decoding on different machines.
        vllm_xargs: For extensions of your own.
        request_id: The request's id, for the server's log.
        repetition_detection: When an answer that repeats itself is ended.
        stream_interval: How many tokens come in one chunk.
        watermarking: Whether the answer is marked.
    """

    use_beam_search: bool
    length_penalty: float
    structured_outputs: Mapping[str, object] | None
    guided_json: str | Mapping[str, object]
    guided_regex: str
    guided_choice: Sequence[str]
    guided_grammar: str
    guided_decoding_backend: str
    guided_whitespace_pattern: str
    best_of: int
    prompt_logprobs: int | None
    logprob_token_ids: Sequence[int] | None
    truncate_prompt_tokens: int | None
    truncation_side: Literal["left", "right"] | None
    allowed_token_ids: Sequence[int] | None
    bad_words: Sequence[str]
    include_stop_str_in_output: bool
    spaces_between_special_tokens: bool
    add_generation_prompt: bool
    chat_template: str | None
    echo: bool
    add_special_tokens: bool
    documents: Sequence[Mapping[str, str]] | None
    media_io_kwargs: Mapping[str, Mapping[str, object]] | None
    mm_processor_kwargs: Mapping[str, object] | None
    include_reasoning: bool
    thinking_token_budget: int | None
    return_tokens_as_token_ids: bool | None
    return_prompt_text: bool | None
    routed_experts_prompt_start: int
    kv_transfer_params: Mapping[str, object] | None
    ec_transfer_params: Mapping[str, object] | None
    vllm_xargs: Mapping[str, object] | None
    request_id: str
    repetition_detection: Mapping[str, object] | None
    stream_interval: int | None
    watermarking: bool | None


class SGLangParams(_Sampling, total=False):
    """SGLang, see https://docs.sglang.ai/basic_usage/openai_api_completions.html

    Attributes:
        regex, ebnf: What holds the answer.
        no_stop_trim: Leave the text that ended the answer in it.
        stop_regex: A pattern that ends the answer.
        separate_reasoning: Whether thinking comes as ``reasoning_content``.
        stream_reasoning: Whether it is streamed.
        session_params: The session that goes on.
        lora_path: Which adapter.
        custom_logit_processor, custom_params: A processor of your own.
        input_ids: The prompt's tokens, in place of what the template makes.
        task: One of the short tasks of DeepSeek V4, such as ``"title"``.
        max_dynamic_patch, min_dynamic_patch, images_config, use_audio_in_video: How pictures and films are read.
        return_hidden_states: Tell the hidden states too, or only the ``"last"``.
        return_routed_experts, routed_experts_start_len: Tell which experts were used, from that token on.
        return_cached_tokens_details, return_prompt_token_ids, return_meta_info: Tell that too.
        rid: The request's id, for the server's log.
        extra_key: A class of requests of your own.
        ngram_corpus_id: Which texts to guess tokens from.
        bootstrap_host, bootstrap_port, bootstrap_room: For prefill and decoding on different machines.
        routed_dp_rank, disagg_prefill_dp_rank, data_parallel_rank: Which worker; the last is the older name.
    """

    regex: str | None
    ebnf: str | None
    no_stop_trim: bool
    stop_regex: str | Sequence[str] | None
    separate_reasoning: bool
    stream_reasoning: bool
    session_params: Mapping[str, object] | None
    lora_path: str | Sequence[str | None] | None
    custom_logit_processor: str | Sequence[str | None] | None
    custom_params: Mapping[str, object] | None
    input_ids: Sequence[int] | None
    task: str | None
    max_dynamic_patch: int | None
    min_dynamic_patch: int | None
    images_config: Mapping[str, object] | None
    use_audio_in_video: bool
    return_hidden_states: bool | Literal["last"]
    return_routed_experts: bool
    routed_experts_start_len: int
    return_cached_tokens_details: bool
    return_prompt_token_ids: bool
    return_meta_info: bool
    rid: str | None
    extra_key: str | None
    ngram_corpus_id: str | None
    bootstrap_host: str | None
    bootstrap_port: int | None
    bootstrap_room: int | None
    routed_dp_rank: int | None
    disagg_prefill_dp_rank: int | None
    data_parallel_rank: int | None


class GroqParams(TypedDict, total=False):
    """Groq, see https://console.groq.com/docs/api-reference#chat-create

    Attributes:
        reasoning_format: ``"parsed"``, ``"raw"`` or ``"hidden"``.
        include_reasoning: Whether to tell the thinking; not beside ``reasoning_format``.
        search_settings: Which sites and countries are searched, and whether pictures too.
        compound_custom: Which tools and models a compound system may use.
        documents: Texts to answer from.
        citation_options: ``"enabled"`` or ``"disabled"``.
        disable_tool_validation: Do not check the arguments of calls.
        exclude_domains, include_domains: The older form of ``search_settings``.
    """

    reasoning_format: Literal["parsed", "raw", "hidden"] | None
    include_reasoning: bool | None
    search_settings: Mapping[str, object] | None
    compound_custom: Mapping[str, object] | None
    documents: Sequence[Mapping[str, object]] | None
    citation_options: Literal["enabled", "disabled"] | None
    disable_tool_validation: bool
    exclude_domains: Sequence[str] | None
    include_domains: Sequence[str] | None


class MistralParams(TypedDict, total=False):
    """Mistral, see https://docs.mistral.ai/api/endpoint/chat

    Attributes:
        safe_prompt: Put a safety prompt before the conversation.
        random_seed: What others call ``seed``.
        prompt_mode: ``"reasoning"`` for the system prompt of thinking models.
        guardrails: What is checked before and after.
        min_tokens: Length of the answer at least.
        top_k: How many of the likeliest tokens are drawn from.
        repetition_penalty: Above 1, what was said is said less.
        prompt_logprobs, top_prompt_logprobs: Tell log probabilities of the prompt's tokens, and of so many rivals.
    """

    safe_prompt: bool
    random_seed: int | None
    prompt_mode: Literal["reasoning"] | None
    guardrails: Sequence[Mapping[str, object]] | None
    min_tokens: int | None
    top_k: int | None
    repetition_penalty: float | None
    prompt_logprobs: bool | None
    top_prompt_logprobs: int | None


class XAIParams(TypedDict, total=False):
    """xAI, see https://docs.x.ai/docs/api-reference#chat-completions

    Attributes:
        search_parameters: Whether, where and since when to search; tools of the Responses API take its place.
        deferred: Answer with an id, by which the answer can be had later.
    """

    search_parameters: Mapping[str, object] | None
    deferred: bool | None


class MoonshotThinking(TypedDict, total=False):
    """Whether to think, and with ``{"keep": "all"}`` whether earlier thinking stays in the prompt."""

    type: Literal["enabled", "disabled"]
    keep: Literal["all"] | None


class MoonshotParams(TypedDict, total=False):
    """Moonshot (Kimi), see https://platform.moonshot.ai/docs/api/chat

    ``partial``, for an answer that begins as the last message does, belongs into that message.

    Attributes:
        thinking: Whether the models of K2 think before they answer, and whether earlier thinking is kept.
    """

    thinking: MoonshotThinking | None


class QwenParams(TypedDict, total=False):
    """Qwen by Alibaba Cloud, see https://www.alibabacloud.com/help/en/model-studio/qwen-api-via-openai-chat-completions

    Attributes:
        enable_thinking: Whether the model thinks before it answers.
        thinking_budget: How many tokens to think at most.
        preserve_thinking: Whether earlier thinking is kept in the prompt.
        enable_search, search_options: Whether and how to search the web.
        top_k: How many of the likeliest tokens are drawn from.
        repetition_penalty: Above 1, what was said is said less.
        enable_code_interpreter: Whether the model may run code.
        vl_high_resolution_images: Whether pictures are looked at closely.
        translation_options: For models which translate.
        asr_options: For models which write down speech.
    """

    enable_thinking: bool
    thinking_budget: int
    preserve_thinking: bool
    enable_search: bool
    search_options: Mapping[str, object]
    top_k: int | None
    repetition_penalty: float
    enable_code_interpreter: bool
    vl_high_resolution_images: bool
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
