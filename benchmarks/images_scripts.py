"""The four runs that are recorded: a shop, documentation, reports by pixel coordinates, and mail with a form.

They do what agents do: look twice, scroll back, return to an earlier page, keep two tabs open, wait, and run into
errors. The agent's words rarely repeat what a page shows, so that the answers are in the pictures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.images_record import Recorder
from benchmarks.images_run import BrowsingRun


def _shop(browser: Any, folder: Path) -> BrowsingRun:
    r = Recorder(browser, "shop", "Buy two lamps and a kettle, and tell me what I paid for each.", folder=folder)
    r.go("I open the shop's list of products.", "http://shop.example/list")
    r.ask("How many reviews does the fourth product of the first page have?", ".card:nth-child(4) .small")
    r.type("I search for lamps.", "#search", "lamp", submit=True)
    r.ask("What does the second lamp in the search results cost?", ".card:nth-child(2) .price")
    r.click("The first result looks right. I open it.", ".card:nth-child(1)")
    r.ask("What is the article number of the first lamp?", "tr:nth-child(1) td:nth-child(2)")
    r.ask("What does the first lamp weigh?", "tr:nth-child(2) td:nth-child(2)")
    r.scroll("I read what others say about it.", 420)
    r.scroll("Nothing speaks against it. Back to the top of the page.", -420)
    r.click("I put it into the cart.", "#add")
    r.click("The badge counts it. I add a second one.", "#add")
    r.look("I check that the badge is right now.")
    r.back("Now for the kettle. I go back to the results.")
    r.type("I search for kettles.", "#search", "kettle", submit=True)
    r.click("I open the second one.", ".card:nth-child(2)")
    r.ask("How many months of warranty does the kettle have?", "tr:nth-child(3) td:nth-child(2)")
    r.click("I add it to the cart.", "#add")
    r.click("I open the cart.", "#cart")
    r.ask("What was the sum of goods before the voucher?", ".box tr:nth-child(1) td:nth-child(2)")
    r.type("The user has a voucher code; I try it.", "#voucher", "SPRING-10")
    r.click("I redeem it.", "#redeem")
    r.ask("Why was the voucher refused?", "#hint")
    r.click("The voucher does not count. I go on to the checkout.", "#checkout")
    r.type("I enter the name.", "#name", "Mara Lindholm")
    r.type("The street.", "#street", "Havnegata 14")
    r.type("The postcode.", "#postcode", "712")
    r.click("I place the order.", "#order")
    r.ask("What was wrong with the postcode?", "#e-postcode")
    r.type("I correct the postcode.", "#postcode", "71204")
    r.type("And the city.", "#city", "Skien")
    r.click("I accept the terms.", "#terms")
    r.click("I place the order again.", "#order")
    r.ask("What is the order number?", "tr:nth-child(1) td:nth-child(2)")
    r.ask("Which depot handles the parcel?", "tr:nth-child(4) td:nth-child(2)")
    r.look("The order is placed. I look at the page once more before I report.")
    return r.finish("#receipt")


def _docs(browser: Any, folder: Path) -> BrowsingRun:
    task = "Find the defaults that matter for a slow network in the broker's documentation."
    r = Recorder(browser, "docs", task, has_snapshots=True, folder=folder)
    r.go("I open the documentation in its dark theme.", "http://docs.example/start?theme=dark")
    r.ask("Which version is the documentation of?", "aside p")
    r.click("The settings have a page of their own.", "aside a:nth-child(3)")
    r.scroll("I scroll to the table.", 560)
    r.ask("What is the default of lease_ms in the settings?", "tr:nth-child(3) td:nth-child(2)")
    r.ask("What is the default of segment_bytes in the settings?", "tr:nth-child(5) td:nth-child(2)")
    r.scroll("I read on.", 640)
    r.scroll("And further down.", 640)
    r.scroll("The table had it after all. I scroll up again.", -1280)
    r.open("The error codes may explain the rest. I open them in another tab.", "http://docs.example/errors")
    r.scroll("I look for the codes.", 500)
    r.ask("After how long does one retry the first error of the second table?", "table >> nth=2 >> td >> nth=2")
    r.ask("Which code stands in the first row of the first table of error codes?", "tr:nth-child(1) code")
    r.tab("Back to the settings in the first tab.", 0)
    r.click("What about clusters?", "aside a:nth-child(5)")
    r.scroll("Further down on that page.", 700)
    r.ask("What is the default of flush_interval_ms for clusters?", "tr:nth-child(4) td:nth-child(2)")
    r.ask("What is the default of dead_letter_after for clusters?", "tr:nth-child(13) td:nth-child(2)")
    r.scroll("And to its end.", 1900)
    r.tab("I compare with the error codes again.", 1)
    r.look("Nothing has changed there.")
    r.tab("The cluster page again.", 0)
    r.back("And back to the settings.")
    return r.finish("aside a:nth-child(4)")


def _reports(browser: Any, folder: Path) -> BrowsingRun:
    task = "Which device failed most in the first quarter, and whose accounts are locked?"
    r = Recorder(browser, "reports", task, acts="pixel", folder=folder)
    r.go("I open the report.", "http://ops.example/report")
    r.wait("It is still loading.", 90)
    r.wait("I wait for the rows.")
    r.ask("What is the energy value of the tenth device by name?", "tr:nth-child(10) td:nth-child(6)")
    r.ask("How many requests had the third device by name?", "tr:nth-child(3) td:nth-child(3)")
    r.click("I sort by failures.", "th:nth-child(4)")
    r.wait("The rows are sorted now.")
    r.ask("Which device has the most failures?", "tbody tr:nth-child(1) td:nth-child(1)")
    r.ask("What does the device with the most failures cost?", "tbody tr:nth-child(1) td:nth-child(8)")
    r.click("The next page, for the smaller ones.", "#next")
    r.wait("Loading again.", 180)
    r.wait("And here are the rows.")
    r.ask("How many failures has the first device on the second page?", "tbody tr:nth-child(1) td:nth-child(4)")
    r.scroll("I look at the end of it.", 300)
    r.ask("What is the checksum of the second page?", "p.small")
    r.scroll("Back up.", -300)
    r.click("Back to the first page.", "#previous")
    r.wait("These are the same rows as before.")
    r.click("I export them.", "#export")
    r.go("Now the people.", "http://ops.example/admin")
    r.wait("I wait for the list.")
    r.ask("What is the id of the third person?", "tr:nth-child(4) td:nth-child(1)")
    r.click("I unlock the first locked account.", "tr:has(.locked) button")
    r.look("The state has changed.")
    r.ask("How many people are active, and how many locked, after that?", "h1 small")
    r.back("Back to the report.")
    r.wait("It loads again.")
    return r.finish("#next")


def _office(browser: Any, folder: Path) -> BrowsingRun:
    task = "Open a trade account with the data from the mails, and answer the newest mail."
    r = Recorder(browser, "office", task, size=(1024, 768), folder=folder)
    r.go("I open the mailbox.", "http://mail.example/")
    r.click("The first message.", ".item:nth-child(1)")
    r.ask("Which reference does the first mail name?", "main tr:nth-child(2) td:nth-child(2)")
    r.click("The fourth message.", ".item:nth-child(4)")
    r.ask("Which amount does the fourth mail name?", "main tr:nth-child(1) td:nth-child(2)")
    r.open("I open the form beside it.", "http://forms.example/apply")
    r.ask("Under which number is the draft of the form saved?", "header .small")
    r.type("The company's name.", "#company", "Lindholm & Daughters AS")
    r.type("The VAT number.", "#vat", "NO98417")
    r.click("On to the next step.", "#forward")
    r.ask("What was wrong with the VAT number?", "#e-vat")
    r.type("I correct it.", "#vat", "NO984172206")
    r.tab("The address is in the mail.", 0)
    r.tab("Back to the form.", 1)
    r.type("The e-mail address.", "#email", "office@lindholm.example")
    r.click("On to the next step.", "#forward")
    r.type("The IBAN.", "#iban", "NO930012341234123412")
    r.type("The limit.", "#limit", "12500")
    r.click("By direct debit.", "input[data-box='0']")
    r.click("And a copy for the accountant.", "input[data-box='2']")
    r.click("Continue.", "#forward")
    r.ask("What is the handling fee?", "tr:nth-child(7) td:nth-child(2)")
    r.ask("Which desk handles the case?", "tr:nth-child(6) td:nth-child(2)")
    r.click("Everything is right. I submit it.", "#forward")
    r.click("The dialog asks. I send it.", "#yes")
    r.ask("What is the reference of the application?", "main b")
    r.tab("Back to the mail.", 0)
    r.type("I write an answer.", "#answer", "The application is on its way.")
    return r.finish("#send")


SCRIPTS = [_shop, _docs, _reports, _office]
