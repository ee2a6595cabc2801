"""Prompts whose lists of examples are interrupted: what interrupts them stays."""

from __future__ import annotations

import pytest

from compressor.text.segmenters.few_shot import find_examples

#: A line that ends with ¶ must stay.
PROMPTS = """Classify. Examples:

Q: i lost my card
A: card

Q: my balance
A: balance

Q: bye
A: close

Q: who is the boss?
A: Kim Lee, since 2020 (a fact, not an example).

Be brief. ¶
=====
Examples:

Text: i lost my card
Label: card

Text: my balance
Label: balance

Text: bye
Label: close
Tone: friendly ¶
Length: two words ¶

=====
Examples:

Text: i lost my card
Label: card

Text: my balance
Label: balance
Priority: VIPs first ¶

Text: bye
Label: close
=====
Examples:
Text: i lost my card
Label: card
Text: my balance
Label: balance
Text: bye
Label: close
Text longer than 100 words goes to a person. ¶
=====
Examples:
red -> rouge
blue -> bleu

Routing:
VIP -> Kim ¶
rest -> Bo ¶
=====
Examples:
red -> rouge
blue -> bleu

VIP -> Kim ¶
rest -> Bo ¶
=====
## Examples
| a | b |
|---|---|
| x | 1 |
| y | 2 |

| code | meaning |
|---|---|
| 7 | lost | ¶
| 8 | found |
=====
Examples:
[{"input":"a","output":"b"},{"input":"c","output":"d"}]
Config:
[{"input":"x","output":"y"},{"input":"p","output":"q"}] ¶
=====
<example>
Input: a
Output: b
</example>
<example>
Input: c
Output: d
</example>
Tickets to sort now: ¶
<example>
Input: e
Output: f
</example>
=====
### Example 1
Input: a
Output: b

### Example 2
Input: c
Output: d

### Example 3
Input: e
Output: f

When in doubt the answer is g. ¶

The tone is warm. ¶
=====
### Example 1
Input: a
Output: b
The tone is warm. ¶

### Example 2
Input: c
Output: d

### Example 3
Input: e
Output: f
=====
### Example 1
Input: a
Output: b

The tone is warm. ¶

### Example 2
Input: c
Output: d

The tone is cold. ¶

### Example 3
Input: e
Output: f
=====
Examples:

Input: a
Output: b
The tone is warm. ¶

Input: c
Output: d
Money is in euro. ¶

Input: e
Output: f

Input: g
Output: h
=====
Examples:

Input: a
Output: b
The tone is warm. ¶

Input: c
Output: d
Money is in euro. ¶

Input: e
Output: f
=====
Examples:

Input: a
Output: b

The tone is warm. ¶

Input: c
Output: d

Money is in euro. ¶

Input: e
Output: f
=====
Examples:
---
where is it
On its way.
---
is it blue
Yes it is.
---
how much
Ten euro.
---
The tone is warm. ¶
Money is in euro. ¶
---
Bye
=====
<examples>
<example>a
b</example>
The tone is warm. ¶
<example>c
d</example>
<example>e
f</example>
Money is in euro. ¶
</examples>
=====
<examples>
<case><in>a</in><out>b</out></case>
<case><in>c</in><out>d</out></case>
<rules>Be warm</rules> ¶
</examples>
=====
<examples>
<rules>Be warm</rules> ¶
<example>c
d</example>
<example>e
f</example>
</examples>
=====
<examples>
<rule>Be warm</rule> ¶
<rule>Be kind</rule>
</examples>
=====
-- Example: a
SELECT 1;
-- All dates are UTC. ¶
-- Example: b
SELECT 2;
-- Example: c
SELECT 3;
-- Money is in euro. ¶
Done. ¶
=====
-- Example: a
SELECT 1;

All dates are UTC. ¶

-- Example: b
SELECT 2;

-- Example: c
SELECT 3;

Money is in euro. ¶
=====
Examples:
{"input":"a","output":"b"}
{"input":"c","output":"d"}
{"rule":"be warm"} ¶
{"input":"e","output":"f"}
=====
Examples:
[{"input":"a","output":"b"},{"input":"c","output":"d"},{"input":"e","output":"f","note":"be warm"}] ¶
=====
Examples:
Input: a | Output: b
Input: c | Output: d
The tone is warm. ¶
Input: e | Output: f
=====
Examples:
a\tb
c\td
The tone is warm. ¶
e\tf
=====
Examples:
User: a
Command: b
User: c
Command: d
sudo is off limits. ¶
User: e
Command: f
Work in /srv. ¶
=====
Beispiele:

Frage: a
Antwort: b

Hinweis: freundlich bleiben. ¶

Frage: c
Antwort: d

Frage: e
Antwort: f

Der Ton ist warm. ¶
=====
示例：
问：a
答：b
问：c
答：d
语气要温和。 ¶
问：e
答：f
金额以欧元计。 ¶
=====
Examples:

```
Q: a
A: b

Q: c
A: d

Be warm. ¶
```
Be kind. ¶
=====
**Example 1**
**Input:** a
**Output:** b

**Example 2**
**Input:** c
**Output:** d

**Rules** ¶
Be warm. ¶
=====
Examples:

Input: a
Output: b

Input: c
Output: d

[Rules] ¶
Be warm. ¶
=====
Examples:
1. Input: a
   Output: b
2. Input: c
   Output: d
3. Be warm. ¶
4. Be kind. ¶
=====
Examples:
- a -> b
- c -> d
- Be warm. ¶
- e -> f
=====
Examples:
- a -> b
- c -> d
- e -> f
  where f is the default for all else ¶
=====
Here are examples of the tone:

Mail: a
Reply: b

Mail: c
Reply: d

Reply in the customer's language. ¶

Mail: e
Reply: f
"""


@pytest.mark.parametrize("marked", PROMPTS.strip().split("\n=====\n"))
def test_what_interrupts_a_list_stays(marked: str) -> None:
    text = marked.replace(" ¶", "")
    left = text
    for run in reversed(find_examples(text)):
        left = f"{left[: run.start]}…{left[run.end :]}"
    for line in marked.split("\n"):
        assert not line.endswith(" ¶") or line.removesuffix(" ¶") in left, left
