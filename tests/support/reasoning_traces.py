"""Made-up reasoning traces of different styles, and which of their sentences a later step needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sample:
    """`needed`: sentences (or their telling part) that are decisions, results or failed attempts; `final`: the last
    results, which must survive first."""

    name: str
    task: str
    trace: str
    needed: tuple[str, ...]
    final: tuple[str, ...]


def _flow(text: str) -> str:
    """The text without the line breaks that only this file needs."""
    return " ".join(text.split())


MATH = Sample(
    "math, self-doubt",
    "How many positive integers below 200 are divisible by 3 or 7 but not by both?",
    _flow(
        """
        Okay, so the user wants to know how many positive integers below 200 are divisible by 3 or 7 but not by both.
        Let me think about this step by step. First, I need to understand what below 200 means. That means the integers
        from 1 to 199. Hmm, okay. So I should count the multiples of 3 first. The multiples of 3 up to 199 number
        floor(199/3), which gives 66. Next, let me count the multiples of 7. There are floor(199/7) of those, that is
        28. Now I need to take care of the ones that are in both lists. Wait, let me reconsider. Is it inclusive or
        exclusive or? The problem says or but not both, so it is exclusive. Let me think about that again. If a number
        is in both lists it is a multiple of 21. There are floor(199/21) multiples of 21, that is 9. I first tried
        subtracting 9 once, but that was wrong, because it removes the overlap from only one of the lists. Hmm, let me
        double-check. Maybe I should list a few of them by hand. The multiples of 21 are 21, 42, 63, 84, 105, 126, 147,
        168 and 189. Okay, that makes sense. So the overlap has to go twice. Let me just make sure that I am not missing
        anything. Let me recompute this once more to be safe. 66 plus 28 is 94. Twice 9 is 18. So I need to subtract 18
        from 94. Therefore the answer is 94 - 18 = 76. Wait, let me double-check that. Let me think about whether 199 is
        a multiple of anything here. It is a prime, so it does not matter. Okay, I am fairly confident now. So the final
        answer is 76.
        """
    ),
    (
        "I first tried subtracting 9 once, but that was wrong",
        "Therefore the answer is 94 - 18 = 76",
        "So the final answer is 76",
    ),
    ("the final answer is 76",),
)

DEBUG = Sample(
    "debugging, plans and attempts",
    "Uploads over 5 MB end with a 500 since Tuesday. Find out why and fix it.",
    _flow(
        """
        Let me start by understanding the problem. The user says that uploads over 5 MB end with a 500. First, I'll look
        at the upload handler. Then I'll check the proxy configuration. Let me look at the logs as well. I need to be
        careful here, because several services are involved. Okay, let me begin. The handler lives in the gateway. It
        reads the body in one go. Hmm, that could be a problem, but let me not jump to conclusions. Let me check whether
        memory is the issue. I raised the memory limit of the pod to 2 GB, but the upload still failed with the same
        500. So it is something else. Let me think about what else could be going on. Maybe I should look at the proxy
        next. Let me look at the proxy. I set client_max_body_size to 50m in nginx.conf, but it had no effect on the
        error. Hmm. Let me think. What else happens to an upload? There is the virus scanner. Let me look at the virus
        scanner. I should check how it gets its files. It gets them through a temporary directory. Let me see how big
        that directory is. I need to check the mount. Okay, let me check the mount. It turns out that /scratch is a
        tmpfs of 5 MB since the chart upgrade to 3.9.1. That explains everything. Let me double-check it. Let me make
        sure that the timing fits as well. The chart was upgraded on Tuesday, so it fits. Now let me think about how to
        fix it. I could raise the size, or I could use a disk. I decided to mount an emptyDir volume on /scratch instead
        of the tmpfs. Let me apply that. Let me test it now. I'll upload a file of 40 MB. All 12 upload tests pass now.
        Great! Let me know if you need anything else.
        """
    ),
    (
        "I raised the memory limit of the pod to 2 GB, but the upload still failed",
        "I set client_max_body_size to 50m in nginx.conf, but it had no effect",
        "It turns out that /scratch is a tmpfs of 5 MB since the chart upgrade to 3.9.1",
        "I decided to mount an emptyDir volume on /scratch",
        "All 12 upload tests pass now",
    ),
    ("It turns out that /scratch is a tmpfs of 5 MB", "All 12 upload tests pass now"),
)

LOOP = Sample(
    "a loop that goes round and round",
    "Does the schedule fit three talks of 50 minutes and two breaks of 20 minutes between 13:00 and 16:00?",
    "Okay, let me see. The talks take three times 50 minutes, that is 150 minutes. "
    + "Wait, maybe the breaks also count at the end of the day. Hmm, but a break after the last talk makes no sense "
    "here. Let me re-read the question. The question says two breaks. So maybe the breaks go between the talks. "
    * 5
    + "Counting a third break was a mistake, since nothing follows the last talk. "
    + "Wait, maybe the breaks also count at the start of the day. Hmm, but a break after the last talk makes no sense "
    "here. Let me re-read the question. The question says two breaks. So maybe the breaks go between the talks. "
    * 3
    + "The breaks take 40 minutes. Therefore the whole takes 190 minutes, and the window has only 180. "
    + "So the answer is no, the schedule is 10 minutes too long.",
    (
        "Counting a third break was a mistake",
        "Therefore the whole takes 190 minutes",
        "So the answer is no, the schedule is 10 minutes too long",
    ),
    ("So the answer is no, the schedule is 10 minutes too long",),
)

RESEARCH = Sample(
    "research notes",
    "Who supplied the valves of the pumping station in Lelystad, and in which year were they replaced?",
    _flow(
        """
        So the task is to find out who supplied the valves. Let me plan my approach. First I'd search the archive of the
        province. After that I could try the newspapers. I might also look at the trade register. I'm going to start
        with the archive. The archive has 14 folders on the station. Most of them deal with the building itself. I
        wonder if the inventory is complete. Let me go through them one by one. Folder 3 is about the roof. Folder 4 is
        about the staff. Let me continue. Folder 9 names Stork as the builder of the engines. I thought Stork had made
        the valves too, but the delivery notes ruled that out. Okay, so that is not it. Let me think about where else to
        look. Perhaps I should try the newspapers now. Let me try the newspapers. The search for valves and Lelystad
        returned no results before 1950. Hmm. That's strange. Let me try other words. I should also try the Dutch word.
        Let me see what comes up. There is a report in the Flevobode of 1968. I found that the valves came from
        Machinefabriek Reineveld in Delft. Good. Now I need the year. Let me look for the year of the replacement. The
        annual reports might have it. I'll go through the annual reports. The report of 1987 is missing. The report of
        1988 mentions it. The valves were replaced in 1987, as the annual report of 1988 confirms it on page 31. I think
        that is everything. Let me recap. In conclusion, Reineveld supplied the valves and they were replaced in 1987.
        """
    ),
    (
        "the delivery notes ruled that out",
        "returned no results before 1950",
        "I found that the valves came from Machinefabriek Reineveld in Delft",
        "In conclusion, Reineveld supplied the valves",
    ),
    ("In conclusion, Reineveld supplied the valves",),
)

DESIGN = Sample(
    "weighing options",
    "Should the order service publish events through the outbox table or straight to the broker?",
    _flow(
        """
        Alright, the question is about events. Let me think about the options. There are basically two of them. We could
        write to an outbox table, or we could publish straight to the broker. I need to think about what happens on a
        crash. Let me consider the broker first. It would be simple. It would also be fast. What about failures? Let me
        think about failures. If the process dies between commit and publish, an event is missing. I measured this in
        the staging cluster: 7 of 10,000 orders lost their event with direct publishing. Hmm, okay. That is not great.
        Let me now consider the outbox. It needs a table and a relay. It would add some latency. Let me think about how
        much. Let me see. Polling every 200 ms would add 100 ms on average. Is that acceptable? I think so. Let me think
        about the alternatives again. Maybe we could use change data capture. Debezium would do that. I tried Debezium
        against the replica, but it cannot read the WAL of a managed Postgres 11. So that's out. Let me go over it
        again. Direct publishing is simple. The outbox is safe. What matters more? I need to weigh this. The user said
        earlier that no event may be lost. Okay. So we'll go with the outbox table, polled every 200 ms. Let me double-
        check that this is really what we want. I want to make sure that the order of the events is kept. It would be,
        per aggregate. The relay must not run twice, so it takes an advisory lock 4711. Good. Let me know what you
        think!
        """
    ),
    (
        "7 of 10,000 orders lost their event",
        "I tried Debezium against the replica, but it cannot read the WAL",
        "So we'll go with the outbox table, polled every 200 ms",
        "The relay must not run twice, so it takes an advisory lock 4711",
    ),
    ("So we'll go with the outbox table, polled every 200 ms",),
)

REACT = Sample(
    "thought by thought, with a tag",
    "Change the passenger of reservation 4WQ150 to Omar Rossi if the policy allows it.",
    """<think>
Okay, the user wants to change the passenger of a reservation.
I need to check the policy first.
Let me recall what the policy says.
The policy has a section on passengers.
I should read that section carefully.
Hmm, the number of passengers cannot be changed, but their names can.
So I need to look up the reservation.
Let me do that.
The reservation has one passenger.
Wait, I need to verify the identity of the user too.
Let me think about that.
The user gave the id omar_davis_3817.
Okay, that should be fine.
Let me make sure that the names match.
I tried to update the passenger with the date of birth 1970-06-06, but the tool rejected it as a mismatch.
Hmm, that's odd.
Let me think about what went wrong.
Maybe the date is written in another way.
Let me look at the profile again.
The profile says 1970-11-06.
I should try again with that.
Let me try again.
The passenger of 4WQ150 has been changed to Omar Rossi, born 1970-11-06.
Now I have to tell the user.
I should keep it short.
The user declined the travel insurance.
Let me write the answer.
</think>
Is there anything else I can help you with?""",
    (
        "but the tool rejected it as a mismatch",
        "The passenger of 4WQ150 has been changed to Omar Rossi, born 1970-11-06",
        "The user declined the travel insurance",
    ),
    ("The passenger of 4WQ150 has been changed to Omar Rossi, born 1970-11-06",),
)

PROOF = Sample(
    "a proof that backtracks",
    "Is there a simple graph on 7 vertices in which every vertex has degree 3?",
    _flow(
        """
        Hmm, let me think. We are looking for a graph on seven vertices. Every vertex should have degree three. Let me
        try to draw one. I'll start with a cycle. Let me add some chords. I could connect opposite vertices. But with
        seven vertices there is no opposite one. Let me try something else. Maybe I could start with a complete graph on
        four vertices. That uses up four vertices. The three others would need degree three among themselves. Starting
        from K4 fails, since the three others can have degree at most 2 among themselves. Okay, so that is not it. Let
        me think differently. Let me try a wheel. A wheel has a hub. The hub would have degree six. So let me remove
        some spokes. Hmm. Let me think again. Perhaps there is a general reason. Let me count the edges. Every edge has
        two ends. So the sum of the degrees is even. Here the sum of the degrees would be 21, which contradicts the
        handshake lemma. Wait, is that right? Let me double-check. Seven times three is twenty-one. Twenty-one is odd.
        Yes. Okay. Let me verify the lemma itself. Each edge adds two to the sum. That makes sense. I am convinced.
        Hence no simple graph on 7 vertices is 3-regular. Let me just recap. Let me think about whether there is
        anything else. I don't think so.
        """
    ),
    (
        "Starting from K4 fails",
        "which contradicts the handshake lemma",
        "Hence no simple graph on 7 vertices is 3-regular",
    ),
    ("Hence no simple graph on 7 vertices is 3-regular",),
)

SAMPLES = (MATH, DEBUG, LOOP, RESEARCH, DESIGN, REACT, PROOF)


# Written after the rules were, which have not been changed for them.
MERGE = Sample(
    "data cleaning",
    "Merge the two customer lists and tell me how many customers remain.",
    _flow(
        """
        Two lists, one merge. I'd like to get a feel for the data before doing anything. List A has 1,204 rows. List B
        has 980 rows. Both have a column for the e-mail address. A merge on the e-mail address is the obvious thing to
        do. Hmm, but are the addresses clean? Some of them have capitals in them. Some of them have blanks at the end. I
        normalised the addresses to lower case without blanks. Merging on the raw address gave 61 duplicates too many.
        It might be good to look at the phone numbers as well. On second thought, phone numbers change. Then again, so
        do addresses. Let me weigh that. I could also ask the user. No, that would be silly. Matching on phone numbers
        produced false pairs such as 14 families with one line. So phone numbers stay out of it. The merge key is the
        normalised e-mail address. What remains is to count. Counting is easy. After the merge 1,733 customers remain. I
        might double check that number. 1,204 plus 980 less 451 is 1,733. Good, that fits.
        """
    ),
    (
        "Merging on the raw address gave 61 duplicates too many",
        "Matching on phone numbers produced false pairs",
        "So phone numbers stay out of it",
        "The merge key is the normalised e-mail address",
        "After the merge 1,733 customers remain",
    ),
    ("After the merge 1,733 customers remain",),
)

TRAVEL = Sample(
    "travel agent",
    "Get me from Oslo to Porto before noon on 12 May, under 300 euros.",
    _flow(
        """
        The traveller is in Oslo and must be in Porto before noon. That will need an early flight. Let me picture the
        options. Direct flights would be nicest. TAP has no direct flight on Tuesdays. A stop in Lisbon is one way. A
        stop in Frankfurt is another. A stop in Amsterdam is a third. I want to compare these three. Lisbon first. The
        Lisbon connection arrives at 13:40, too late. Then Frankfurt. Frankfurt takes a while to look up. I have to be
        patient. LH859 with LH1176 arrives at 11:05 and costs 341 euros, over the budget. Now Amsterdam. I have a good
        feeling about Amsterdam. KL1196 with KL1711 arrives at 11:35 and costs 268 euros. That is within the budget. It
        is before noon as well. The hold on KL1196 was declined because the passport number is missing. I need to ask
        for the passport. I'd better write that down. In the meantime I keep the option open. The choice is KL1196 with
        KL1711, pending the passport number.
        """
    ),
    (
        "TAP has no direct flight on Tuesdays",
        "The Lisbon connection arrives at 13:40, too late",
        "costs 341 euros, over the budget",
        "KL1196 with KL1711 arrives at 11:35 and costs 268 euros",
        "The hold on KL1196 was declined",
        "The choice is KL1196 with KL1711",
    ),
    ("The choice is KL1196 with KL1711",),
)

BORROW = Sample(
    "rust borrow",
    "Make the cache compile.",
    _flow(
        """
        Okay. The compiler complains about a borrow. Let's see what it says exactly. E0502, cannot borrow `self.map` as
        mutable. I see. The usual trick is to clone. Let me think whether cloning is fine here. The values are large.
        Cloning would be slow. Still, let me try it. Cloning the entry compiled but doubled the memory to 1.9 GB. That's
        not acceptable. Next idea. Maybe an index instead of a reference. Or an Rc. Or a RefCell. So many choices. Let
        me think about the Rc. With Rc<RefCell<Entry>> the tests panicked with BorrowMutError. Ugh. Okay, let me think
        about the index. The entries would live in a Vec. The map would hold positions. Wait, what happens on removal?
        Positions would shift. Unless I use swap_remove. Or a slab. A slab keeps positions stable. Switched the cache to
        slab 0.4 with usize keys. Let me run the tests. They take a minute. Done. 57 tests green, memory back at 940 MB.
        Nice. Let me clean up a little. I should remove the unused import.
        """
    ),
    (
        "Cloning the entry compiled but doubled the memory to 1.9 GB",
        "the tests panicked with BorrowMutError",
        "Switched the cache to slab 0.4 with usize keys",
        "57 tests green, memory back at 940 MB",
    ),
    ("57 tests green, memory back at 940 MB",),
)

UNSEEN = (MERGE, TRAVEL, BORROW)
