"""Requests to the tools of MCP servers, with the arguments that a call of each acceptable tool carries.

The tools are those of `mcp_tools`: GitHub, Playwright, a file system, Slack, GitLab and a memory server.
"""

from __future__ import annotations

#: A request, and for each tool that does it the arguments that its call carries.
ToolRequest = tuple[str, dict[str, list[str]]]

GITHUB: list[ToolRequest] = [
    (
        "File a bug in acme/web: the login button does nothing on Safari. Label it 'ui' and assign dana.",
        {"issue_write": ["title", "body", "labels", "assignees", "method"], "create_issue": ["title", "body"]},
    ),
    (
        "Close issue 77 in acme/api as not planned",
        {
            "issue_write": ["issue_number", "state", "state_reason", "method"],
            "update_issue_state": ["issue_number", "state", "state_reason"],
        },
    ),
    (
        "Show me the open issues of acme/web labelled 'bug', newest first",
        {"list_issues": ["state", "labels", "orderBy", "direction"], "search_issues": ["query", "sort", "order"]},
    ),
    (
        "Squash-merge pull request 412 of acme/web with the title 'Fix login'",
        {"merge_pull_request": ["pullNumber", "merge_method", "commit_title"]},
    ),
    (
        "Open a draft pull request from feature/search into main in acme/api, titled 'Add search', reviewed by kim",
        {"create_pull_request": ["head", "base", "title", "draft", "reviewers"]},
    ),
    (
        "Which commits did Alice make to src/auth.ts in acme/api since the first of March?",
        {"list_commits": ["author", "path", "since"]},
    ),
    (
        "What does config/app.yml look like on the branch release/2.0 of acme/api?",
        {"get_file_contents": ["path", "ref"]},
    ),
    (
        "Run the deploy workflow of acme/api on main with the input environment=staging",
        {"actions_run_trigger": ["workflow_id", "ref", "inputs", "method"]},
    ),
    (
        "Show me only the logs of the failed jobs of run 991, the last 50 lines",
        {"get_job_logs": ["run_id", "failed_only", "tail_lines"]},
    ),
    (
        "Create a private repository called 'tools' in the organisation acme with a description and a README",
        {"create_repository": ["name", "private", "organization", "description", "autoInit"]},
    ),
    (
        "Approve pull request 17 in acme/web and say 'looks good'",
        {
            "pull_request_review_write": ["method", "event", "body", "pullNumber"],
            "create_pull_request_review": ["event", "body", "pullNumber"],
        },
    ),
    (
        "Leave a comment on lines 10 to 14 of src/app.py in PR 8: 'use a set here'",
        {
            "add_comment_to_pending_review": ["path", "line", "startLine", "body"],
            "add_pull_request_review_comment": ["path", "line", "startLine", "body"],
        },
    ),
    ("Which critical dependabot alerts are still open in acme/api?", {"list_dependabot_alerts": ["severity", "state"]}),
    ("Search the code of acme for 'parse_token', 50 results a page", {"search_code": ["query", "perPage"]}),
    (
        "Mark all notifications of acme/web as read up to yesterday",
        {"mark_all_notifications_read": ["lastReadAt", "owner", "repo"]},
    ),
    ("Make a new branch 'hotfix' from release/1.9 in acme/api", {"create_branch": ["branch", "from_branch"]}),
    (
        "Make a secret gist notes.md with a description",
        {"create_gist": ["filename", "content", "description", "public"]},
    ),
    (
        "Rename the label 'bug' to 'defect' and make it red in acme/web",
        {"label_write": ["method", "name", "new_name", "color"]},
    ),
    (
        "Move sub-issue 31 behind 29 in issue 12 of acme/web",
        {
            "sub_issue_write": ["method", "sub_issue_id", "after_id"],
            "reprioritize_sub_issue": ["sub_issue_id", "after_id"],
        },
    ),
    (
        "Set the status of item 5 in project 3 of acme to 'Done'",
        {"projects_write": ["method", "project_number", "item_id", "updated_field"]},
    ),
]

OTHERS: list[ToolRequest] = [
    (
        "Take a screenshot of the whole page as a JPEG and save it as home.jpg",
        {"browser_take_screenshot": ["fullPage", "type", "filename"]},
    ),
    ("Type 'hello' into the search box and press enter to submit it", {"browser_type": ["text", "target", "submit"]}),
    (
        "Double-click the row 'Invoice 12' with the right mouse button",
        {"browser_click": ["target", "doubleClick", "button"]},
    ),
    ("Wait until the text 'Loading' is gone from the page", {"browser_wait_for": ["textGone"]}),
    ("Open a new tab with https://example.com", {"browser_tabs": ["action", "url"]}),
    (
        "List the network requests to /api/, without images and scripts, into a file",
        {"browser_network_requests": ["filter", "filename", "static"]},
    ),
    ("Show the page in dark mode, with reduced motion", {"browser_emulate_media": ["colorScheme", "reducedMotion"]}),
    ("Answer the prompt dialog with 'Berlin' and accept it", {"browser_handle_dialog": ["accept", "promptText"]}),
    (
        "Show me the last 20 lines of /var/log/app.log",
        {"read_text_file": ["path", "tail"], "read_file": ["path", "tail"]},
    ),
    (
        "Replace 'foo' by 'bar' in /srv/a.txt, but only show me what would change",
        {"edit_file": ["path", "edits", "dryRun"]},
    ),
    (
        "Find all *.py files under /srv, but not in node_modules",
        {"search_files": ["path", "pattern", "excludePatterns"]},
    ),
    ("What is in /srv, largest files first?", {"list_directory_with_sizes": ["path", "sortBy"]}),
    ("Show the last 30 messages of the channel C123", {"slack_get_channel_history": ["channel_id", "limit"]}),
    (
        "Answer in the thread 1700000000.1234 of C123: 'done'",
        {"slack_reply_to_thread": ["channel_id", "thread_ts", "text"]},
    ),
    (
        "Open an issue in the GitLab project 42: 'Crash on start', confidential label 'p1', assign it to user 7",
        {"gitlab_create_issue": ["project_id", "title", "labels", "assignee_ids"]},
    ),
    (
        "Create a draft merge request from fix/x into main in GitLab project 42 with a description",
        {"create_merge_request": ["source_branch", "target_branch", "title", "draft", "description"]},
    ),
    (
        "Make a private GitLab repository 'playground' with a README",
        {"gitlab_create_repository": ["name", "visibility", "initialize_with_readme"]},
    ),
    (
        "Remember that Kim works at Lumo",
        {"create_relations": ["relations"], "add_observations": ["observations"], "create_entities": ["entities"]},
    ),
]
