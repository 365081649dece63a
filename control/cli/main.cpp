// SPDX-License-Identifier: Apache-2.0
#include <exception>
#include <iostream>

#include "control/cli/verbs.hpp"

int main(int argc, char** argv) {
    try {
        return weft::cli::run(argc, argv, std::cout, std::cerr);
    } catch (const std::exception& error) {
        std::cerr << "weft: a defect of weft: " << error.what() << "\n";
        return 1;
    }
}
