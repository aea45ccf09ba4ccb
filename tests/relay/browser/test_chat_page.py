"""The chat page in Chromium, against its own server and a scripted model; what it does upstream is proven there."""

import asyncio
import json
from itertools import pairwise

import pytest

WORDS = "Grüße, 世界! 🎉 👩‍👩‍👧 one two three four five six seven. "
TEXT = "".join(f"{k}: {WORDS}" for k in range(12)).strip()

# What could become more than text, if it were taken for markup anywhere.
ATTACKS = (
    '<img src=x onerror="window.hacked = 1">',
    "<script>window.hacked = 1</script>",
    "<svg/onload=window.hacked=1>",
    "**<b onclick='window.hacked=1'>bold</b>**",
    "`<i>code</i>`",
    "[a link](javascript:window.hacked=1) ![](https://example.com/x.png)",
    '<iframe src="javascript:parent.hacked=1"></iframe>',
    "<style>body { display: none }</style>",
    "&lt;b&gt; &amp; &#60;",
)


async def ask(page, question):
    await page.fill("textarea", question)
    await page.keyboard.press("Enter")


async def finished(page, count=1):
    """Wait until so many answers are at their end."""
    await page.wait_for_function("count => turns.length === count && turns.every(turn => turn.end)", arg=count)
    await page.wait_for_selector("#send:not([hidden])")


async def content_has(page, size):
    """Wait until the last answer has so many characters."""
    await page.wait_for_function("size => (turns.at(-1)?.content.length ?? 0) >= size", arg=size)


async def shown(page, selector=".content"):
    """The text of the last element of this kind, as it is in the page."""
    return await page.locator(selector).last.evaluate("element => element.textContent")


async def kept(page):
    """The turns as the page keeps them for a reload."""
    return json.loads(await page.evaluate("sessionStorage.getItem('turns')"))


async def test_tokens_appear_one_by_one(page, upstream):
    """The text grows in many steps, each a longer beginning of the same answer, up to the whole."""
    upstream.reply(TEXT)
    await page.evaluate("""() => {
        window.seen = [];
        new MutationObserver(() => seen.push(document.querySelector(".content")?.textContent ?? ""))
            .observe(document.querySelector("#log"), { subtree: true, childList: true, characterData: true });
    }""")
    await ask(page, "Count")
    await finished(page)
    seen = list(dict.fromkeys(text for text in await page.evaluate("seen") if text))
    assert len(seen) > 20
    assert all(later.startswith(earlier) for earlier, later in pairwise(seen))
    assert seen[-1] == await shown(page) == TEXT


async def test_reasoning_is_folded_away(page, upstream):
    """It is there by value, behind a line that says how long it took."""
    upstream.reply("Yes", reasoning="Let me see.\n<b>Hm</b>")
    await ask(page, "Is it so?")
    await finished(page)
    assert not await page.locator(".reasoning div").is_visible()
    await page.locator("summary").focus()
    await page.keyboard.press("Enter")
    assert await page.locator(".reasoning div").is_visible()
    assert await shown(page, ".reasoning div") == "Let me see.\n<b>Hm</b>"
    assert (await shown(page, ".label")).startswith("Thought for")


async def test_tokens_per_second(page, upstream):
    """An estimate while tokens come; at the end what the server counted."""
    upstream.reply(TEXT, usage={"prompt_tokens": 1, "completion_tokens": 123, "total_tokens": 124})
    await ask(page, "Count")
    await page.get_by_text("about", exact=False).wait_for()
    await finished(page)
    facts = await page.locator(".facts span").all_text_contents()
    assert facts[0] == "123 tokens"
    assert facts[1].endswith("tokens per second")
    assert not facts[1].startswith("about")


@pytest.mark.parametrize("how", ["button", "key"])
@pytest.mark.parametrize("after", [0, 6])
async def test_stop_closes_the_upstream(page, upstream, how, after):
    """By the button or by Esc, also before the first token; what had come stays, and the next question is answered."""
    upstream.stall(TEXT, after=after)
    upstream.reply("And on")
    await ask(page, "Count")
    await upstream.wait_received()
    if after:
        await content_has(page, 5)
    await (page.click("#stop") if how == "button" else page.keyboard.press("Escape"))
    assert (await upstream.wait_closed()).outcome == "client_gone"
    await finished(page)
    assert "Stopped" in await shown(page, ".facts")
    assert TEXT.startswith(await shown(page))
    await ask(page, "Go on")
    await finished(page, 2)
    assert await shown(page) == "And on"


async def test_a_reload_in_the_middle(page, upstream):
    """Three times in one answer: it goes on without a lost or doubled character, and is asked for once."""
    upstream.reply(TEXT, reasoning="Thinking about it. " * 5, token_delay_s=0.015)
    await ask(page, "Count")
    for size in (0, len(TEXT) // 3, len(TEXT) * 2 // 3):
        await content_has(page, size)
        await page.reload()
    await finished(page)
    assert await shown(page) == TEXT
    assert await shown(page, ".reasoning div") == "Thinking about it. " * 5
    assert [turn["content"] for turn in await kept(page)] == [TEXT]
    assert [request.outcome for request in upstream.requests] == ["completed"]


async def test_a_reload_before_the_first_token(page, upstream):
    upstream.reply(TEXT, delay_s=0.5)
    await ask(page, "Count")
    await upstream.wait_received()
    await page.reload()
    await finished(page)
    assert await shown(page) == TEXT
    assert len(upstream.requests) == 1


async def test_a_lost_connection(page, line, upstream):
    """The line is cut in the middle, and again: the page says so, connects again, and misses nothing."""
    upstream.reply(TEXT, token_delay_s=0.02)
    await ask(page, "Count")
    for size in (len(TEXT) // 4, len(TEXT) // 2):
        await content_has(page, size)
        line.cut()
        await page.get_by_text("Reconnecting").wait_for()
        line.mend()
        await page.get_by_text("Connected").wait_for()
    await finished(page)
    assert await shown(page) == TEXT
    assert len(upstream.requests) == 1


async def test_a_question_while_the_line_is_cut(page, line, upstream):
    """It is asked as soon as there is a connection."""
    upstream.reply("Here I am")
    line.cut()
    await page.get_by_text("Reconnecting").wait_for()
    await ask(page, "Are you there?")
    await page.locator(".waiting").wait_for()
    line.mend()
    await finished(page)
    assert await shown(page) == "Here I am"
    assert len(upstream.requests) == 1


async def test_a_browser_that_does_not_come_back(page, upstream):
    """A tab that is closed does not end the answer at once: it could be a reload, and the grace period is not over."""
    upstream.reply(TEXT)
    await ask(page, "Count")
    await content_has(page, 5)
    await page.close()
    assert (await upstream.wait_closed()).outcome == "completed"


async def test_an_answer_that_is_not_there_any_more(page, upstream):
    """After a reload that comes too late, the page says so, and the question can be asked again."""
    upstream.stall(TEXT, after=6)
    upstream.reply("Once more")
    await ask(page, "Count")
    await content_has(page, 5)
    await page.evaluate("turns[0].id = 'forgotten'")
    await page.reload()
    await finished(page)
    assert "not here" in await shown(page, ".error")
    await page.get_by_text("Ask again").click()
    await finished(page, 2)
    assert await shown(page) == "Once more"


async def test_an_error(page, upstream):
    """The page shows what is safe to show, and what had come."""
    upstream.cut(TEXT, after=6)
    await ask(page, "Count")
    await finished(page)
    assert await shown(page, ".error") == "The answer was interrupted."
    assert TEXT.startswith(await shown(page))


@pytest.mark.parametrize("attack", ATTACKS)
async def test_markup_stays_text(page, upstream, attack):
    """Wherever it stands: in the answer, in a list, in code, in the name of a language, in thoughts, in questions."""
    content = f"{attack}\n\n# {attack}\n\n- {attack}\n\n~~~{attack}\n{attack}\n~~~\n"
    upstream.reply(content, reasoning=attack)
    await ask(page, attack)
    await finished(page)
    assert await shown(page, ".question") == attack
    assert await shown(page, ".reasoning div") == attack
    assert await shown(page, "pre") == attack
    plain = attack.replace("**", "").replace("`", "")
    for selector in ("p", "h3", "li"):
        assert await shown(page, f".content {selector}") == plain
    assert await page.evaluate("window.hacked") is None
    assert await page.locator("#log :is(a, img, script, style, iframe, b, i, svg:not(summary svg))").count() == 0
    assert await page.evaluate("document.body.checkVisibility()")


async def test_the_page_itself_forbids_markup(page, line):
    """Even a mistake in its script could not make markup of a string."""
    other = await page.context.new_page()
    await other.goto(line.url)
    with pytest.raises(Exception, match="TrustedHTML"):
        await other.evaluate("document.body.innerHTML = '<b>bold</b>'")


MARKDOWN = """\
# A *small* heading
Some **bold `code` text** and *emphasis*,
on two lines; 2 * 3 * 4 and snake_case_name stay.

1. one
2. two
   goes on
   - nested
3. three
- a
- b
```python
def f():

    return "**not bold**"
```
`unfinished and **so on"""

HTML = (
    "<h3>A <em>small</em> heading</h3>"
    "<p>Some <strong>bold <code>code</code> text</strong> and <em>emphasis</em>,\n"
    "on two lines; 2 * 3 * 4 and snake_case_name stay.</p>"
    '<ol start="1"><li>one</li><li>two\ngoes on<ul><li>nested</li></ul></li><li>three</li></ol>'
    "<ul><li>a</li><li>b</li></ul>"
    '<figure><figcaption><span>python</span><button type="button">Copy</button></figcaption><pre tabindex="0"><code>'
    'def f():\n\n    return "**not bold**"</code></pre></figure>'
    "<p>`unfinished and **so on</p>"
)


@pytest.mark.parametrize("is_reloaded", [False, True])
async def test_markdown(page, upstream, is_reloaded):
    """The small part of it that the page knows looks the same in one piece as token by token."""
    upstream.reply(MARKDOWN, token_delay_s=0.04)
    await ask(page, "Show me")
    await finished(page)
    if is_reloaded:
        await page.reload()
    assert await page.locator(".content").inner_html() == HTML


async def test_a_block_that_becomes_part_of_another(page, upstream):
    """The ``2.`` that comes alone is a line of text, and then an item: it stands there once."""
    upstream.reply("1. one\n2. two", token_delay_s=0.04)
    await ask(page, "Count")
    await finished(page)
    assert await page.locator(".content").inner_html() == '<ol start="1"><li>one</li><li>two</li></ol>'


async def test_several_turns(page, upstream):
    """The model is told what was said before, and each answer stands under its question."""
    upstream.reply("First answer", reasoning="Not to be repeated")
    upstream.reply("Second answer")
    await ask(page, "First question")
    await finished(page)
    await ask(page, "Second question")
    await finished(page, 2)
    assert upstream.requests[1].json["messages"] == [
        {"role": "user", "content": "First question"},
        {"role": "assistant", "content": "First answer"},
        {"role": "user", "content": "Second question"},
    ]
    said = page.locator("#log > .question, #log .content")
    assert await said.all_text_contents() == ["First question", "First answer", "Second question", "Second answer"]


async def test_a_new_chat(page, upstream):
    """In the middle of an answer: that one is stopped, and nothing of it comes into the new one."""
    upstream.reply(TEXT, token_delay_s=0.05)
    upstream.reply("Something new")
    await ask(page, "Count")
    await content_has(page, 5)
    await page.evaluate("() => { document.querySelector('#new').click(); ask('And now?'); }")
    await finished(page)
    assert (await upstream.wait_closed(0)).outcome == "client_gone"
    assert await page.locator(".content").all_text_contents() == ["Something new"]
    assert len(upstream.requests[1].json["messages"]) == 1


async def test_keys(page, upstream):
    """The question box has the focus; Shift and Enter begin a new line; an empty question is not sent."""
    upstream.reply("Yes")
    await page.keyboard.press("Enter")
    assert await page.locator("#send").is_disabled()
    await page.keyboard.type("one")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("two")
    await page.keyboard.press("Enter")
    await finished(page)
    assert upstream.requests[0].json["messages"] == [{"role": "user", "content": "one\ntwo"}]
    assert await page.input_value("textarea") == ""
    assert await page.evaluate("document.activeElement.tagName") == "TEXTAREA"


async def test_a_reader_who_scrolls_up_is_left_alone(page, upstream):
    """The page follows the text until somebody scrolls, and again from the bottom on."""

    async def scrolled_to_the_end():
        return await page.evaluate("main.scrollHeight - main.scrollTop - main.clientHeight < 48")

    upstream.stall("line\n\n" * 200, after=300, token_delay_s=0.001)
    await page.set_viewport_size({"width": 600, "height": 500})
    await ask(page, "Count")
    await content_has(page, 600)
    await page.wait_for_function("() => isFollowing && main.scrollTop > 500")
    assert await scrolled_to_the_end()
    await page.hover("main")
    await page.mouse.wheel(0, -400)
    await page.locator("#latest").wait_for()
    assert not await scrolled_to_the_end()
    await page.click("#latest")
    await page.wait_for_function("() => main.scrollHeight - main.scrollTop - main.clientHeight < 48")


async def test_light_and_dark(page):
    """As the system has it, until the button says otherwise; a reload remembers."""

    async def background():
        return await page.evaluate("getComputedStyle(document.body).backgroundColor")

    await page.emulate_media(color_scheme="light")
    light = await background()
    await page.emulate_media(color_scheme="dark")
    dark = await background()
    assert light != dark
    await page.click("#theme")
    assert await background() == light
    await page.reload()
    assert await background() == light
    await page.click("#theme")
    assert await background() == dark


async def test_two_tabs(page, line, upstream):
    """A tab that is duplicated in the middle of an answer shows the same answer, which is asked for once."""
    upstream.reply(TEXT, token_delay_s=0.02)
    await ask(page, "Count")
    await content_has(page, 30)
    turns = await page.evaluate("(save(), sessionStorage.getItem('turns'))")
    other = await page.context.new_page()
    await other.add_init_script(f"sessionStorage.setItem('turns', {json.dumps(turns)})")
    await other.goto(line.url)
    await asyncio.gather(finished(page), finished(other))
    assert await shown(page) == await shown(other) == TEXT
    assert len(upstream.requests) == 1


async def test_another_site_cannot_use_the_socket(browser, page, line, upstream):
    """A page of another origin is refused, so that it cannot spend what the service pays for."""
    context = await browser.new_context()
    other = await context.new_page()
    await other.goto("about:blank")
    opened = await other.evaluate(
        """url => new Promise(tell => {
            const socket = new WebSocket(url);
            socket.onopen = () => tell(true);
            socket.onclose = () => tell(false);
        })""",
        f"{line.url}socket".replace("http", "ws"),
    )
    assert not opened
    await context.close()
    assert upstream.requests == []
