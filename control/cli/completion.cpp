// SPDX-License-Identifier: Apache-2.0
#include <functional>
#include <memory>
#include <ostream>

#include <CLI/CLI.hpp>

#include "control/cli/verbs.hpp"

// completion, version. The scripts come from walking the tree of verbs, so they cannot miss one.
namespace weft::cli {

namespace {

// Without --help, which every verb has and the root's list names already.
std::vector<std::string> options_of(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        if (option == app.get_help_ptr() && app.get_parent() != nullptr) continue;
        for (const auto& name : option->get_lnames())
            names.push_back("--" + name);
        for (const auto& name : option->get_snames())
            names.push_back("-" + name);
    }
    return names;
}

std::string words(const std::vector<std::string>& items) {
    std::string all;
    for (const auto& item : items)
        all += (all.empty() ? "" : " ") + item;
    return all;
}

std::vector<const CLI::App*> verbs_of(const CLI::App& root) {
    return root.get_subcommands([](const CLI::App*) { return true; });
}

std::string quoted(std::string text) {
    for (std::size_t at = 0; (at = text.find('\'', at)) != std::string::npos; at += 4)
        text.replace(at, 1, "'\\''");
    return "'" + text + "'";
}

std::string bash_script(const CLI::App& root) {
    std::string verbs, cases;
    for (const CLI::App* verb : verbs_of(root)) {
        verbs += (verbs.empty() ? "" : " ") + verb->get_name();
        cases += "        " + verb->get_name() + ") words=\"" + words(options_of(*verb)) + " " +
                 words(options_of(root)) + "\" ;;\n";
    }
    return "# bash completion for weft: source <(weft completion bash)\n"
           "_weft() {\n"
           "    local current=${COMP_WORDS[COMP_CWORD]} verb= word words\n"
           "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
           "        [[ $word == -* ]] || { verb=$word; break; }\n"
           "    done\n"
           "    case \"$verb\" in\n" +
           cases + "        *) words=\"" + verbs + " " + words(options_of(root)) +
           "\" ;;\n"
           "    esac\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")\n"
           "    [[ ${#COMPREPLY[@]} -gt 0 ]] || mapfile -t COMPREPLY < <(compgen -f -- \"$current\")\n"
           "}\n"
           "complete -F _weft weft\n";
}

std::string zsh_script(const CLI::App& root) {
    std::string verbs, cases;
    for (const CLI::App* verb : verbs_of(root)) {
        verbs += "        " + quoted(verb->get_name() + ":" + verb->get_description()) + "\n";
        cases += "        " + verb->get_name() + ") compadd -- " + words(options_of(*verb)) + " " +
                 words(options_of(root)) + "; _files ;;\n";
    }
    return "#compdef weft\n"
           "# zsh completion for weft: weft completion zsh > \"${fpath[1]}/_weft\"\n"
           "_weft() {\n"
           "    local -a verbs\n"
           "    verbs=(\n" +
           verbs +
           "    )\n"
           "    if (( CURRENT == 2 )); then _describe verb verbs; compadd -- " +
           words(options_of(root)) +
           "; return; fi\n"
           "    case ${words[2]} in\n" +
           cases +
           "    esac\n"
           "}\n"
           "_weft \"$@\"\n";
}

std::string fish_script(const CLI::App& root) {
    std::string script = "# fish completion for weft: weft completion fish | source\n";
    const auto add = [&](const std::string& condition, const CLI::App& app) {
        for (const CLI::Option* option : app.get_options()) {
            if (option == app.get_help_ptr() && app.get_parent() != nullptr) continue;
            script += "complete -c weft" + condition;
            for (const auto& name : option->get_lnames())
                script += " -l " + name;
            for (const auto& name : option->get_snames())
                script += " -s " + name;
            if (option->get_positional()) script += " -F";
            script += " -d " + quoted(option->get_description()) + "\n";
        }
    };
    add("", root);
    for (const CLI::App* verb : verbs_of(root)) {
        script += "complete -c weft -n __fish_use_subcommand -f -a " + verb->get_name() + " -d " +
                  quoted(verb->get_description()) + "\n";
        add(" -n '__fish_seen_subcommand_from " + verb->get_name() + "'", *verb);
    }
    return script;
}

}  // namespace

void add_completion_verbs(CLI::App& app, Session& session) {
    const auto shell = std::make_shared<std::string>();
    CLI::App* verb = app.add_subcommand("completion", "print the completion script for a shell");
    verb->add_option("SHELL", *shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
    verb->callback([&app, &session, shell] {
        session.verb = [&app, shell](Session& s) -> Outcome<ExitCode> {
            s.out << (*shell == "bash" ? bash_script(app) : *shell == "zsh" ? zsh_script(app) : fish_script(app));
            return ExitCode::Ok;
        };
    });
    app.add_subcommand("version", "print the version of this program")->callback([&session] {
        session.verb = [](Session& s) -> Outcome<ExitCode> {
            s.out << "weft " WEFT_VERSION "\n";
            return ExitCode::Ok;
        };
    });
}

}  // namespace weft::cli
