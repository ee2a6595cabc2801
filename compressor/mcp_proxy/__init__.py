"""One MCP server in front of many: it lists what the task needs within a token budget, and forwards the calls.

server_config     which servers are wrapped, from the command line or from a configuration file
wrapped_server    the connection to one of them: starts it, restarts it, lists its tools
watched_transport the streams to and from it
tool_pages        fetches the list of its tools
exposed_tools     the names under which the tools of all servers are offered
tool_list         what `tools/list` answers, and what `find_tool` finds
result_shortener  compresses large results of calls
passed_through    resources and prompts of the wrapped servers
proxy_options     how the tools are offered
proxy_server      answers the client's requests
stdio_runner      serves on stdin and stdout

Needs the extra "mcp".
"""
