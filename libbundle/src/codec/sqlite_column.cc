#include "codec/sqlite_column.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <memory>
#include <new>
#include <string_view>
#include <utility>

namespace bundle::codec {
namespace {

constexpr std::string_view kMagic{"SQLite format 3\0", 16};
constexpr std::size_t kHeaderBytes = 100;
constexpr std::size_t kPageSize = 16;
constexpr std::size_t kWriteVersion = 18;
constexpr std::size_t kReadVersion = 19;
constexpr std::uint8_t kRollbackJournal = 1;
constexpr std::uint8_t kWriteAheadLog = 2;

// While the schema is read: one entry takes some ten steps of SQLite's machine, and some KiB.
constexpr int kSchemaSteps = 50'000;
constexpr int kMaxSchemaText = 10'000;
constexpr int kMaxColumns = 100;
constexpr int kStepsPerRow = 16;
constexpr int kStepsPerCall = 100;  // of the progress handler

constexpr std::string_view kColumnsOfTable = "table_xinfo";

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

// Memory is the caller's matter; everything else is the file's.
std::string problem_of(int code) {
  if ((code & 0xFF) == SQLITE_NOMEM) throw std::bad_alloc();
  return fmt::format("SQLite: {}", sqlite3_errstr(code));
}

class ColumnReader {
 public:
  ColumnReader(const SqliteColumn& column, const SqliteLimits& limits)
      : column_(column), limits_(limits) {}

  std::string read(std::span<std::uint8_t> file, const std::function<void(ByteView)>& take) {
    if (const int code = open(file); code != SQLITE_OK) return problem_of(code);
    if (std::string problem = find_table(); !problem.empty()) return problem;
    if (std::string problem = find_column(); !problem.empty()) return problem;
    return read_rows(file.size(), take);
  }

 private:
  int open(std::span<std::uint8_t> file) {
    for (const std::size_t at : {kWriteVersion, kReadVersion}) {
      if (file[at] == kWriteAheadLog) file[at] = kRollbackJournal;
    }
    sqlite3* raw = nullptr;
    const int opened =
        sqlite3_open_v2(":memory:", &raw,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_MEMORY | SQLITE_OPEN_NOMUTEX, nullptr);
    db_.reset(raw);
    if (opened != SQLITE_OK) return opened;
    harden();
    const auto size = static_cast<sqlite3_int64>(file.size());
    const int given =
        sqlite3_deserialize(raw, "main", file.data(), size, size, SQLITE_DESERIALIZE_READONLY);
    if (given != SQLITE_OK) return given;
    sqlite3_set_authorizer(raw, &ColumnReader::authorize, this);
    sqlite3_progress_handler(raw, kStepsPerCall, &ColumnReader::on_progress, this);
    return SQLITE_OK;
  }

  void harden() const {
    sqlite3* db = db_.get();
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
    for (const int off : {SQLITE_DBCONFIG_TRUSTED_SCHEMA, SQLITE_DBCONFIG_ENABLE_VIEW,
                          SQLITE_DBCONFIG_ENABLE_TRIGGER, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION,
                          SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, SQLITE_DBCONFIG_WRITABLE_SCHEMA,
                          SQLITE_DBCONFIG_DQS_DML, SQLITE_DBCONFIG_DQS_DDL}) {
      sqlite3_db_config(db, off, 0, nullptr);
    }
    constexpr std::pair<int, int> kLimits[] = {
        {SQLITE_LIMIT_LENGTH, kMaxSchemaText}, {SQLITE_LIMIT_SQL_LENGTH, kMaxSchemaText},
        {SQLITE_LIMIT_COLUMN, kMaxColumns},    {SQLITE_LIMIT_EXPR_DEPTH, 20},
        {SQLITE_LIMIT_COMPOUND_SELECT, 2},     {SQLITE_LIMIT_VDBE_OP, 25'000},
        {SQLITE_LIMIT_FUNCTION_ARG, 8},        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1}, {SQLITE_LIMIT_VARIABLE_NUMBER, 1},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 1},       {SQLITE_LIMIT_WORKER_THREADS, 0}};
    for (const auto& [limit, value] : kLimits) sqlite3_limit(db, limit, value);
    sqlite3_exec(db, "PRAGMA cell_size_check = ON; PRAGMA mmap_size = 0", nullptr, nullptr,
                 nullptr);
  }

  // A view or a virtual table has no root page.
  std::string find_table() {
    steps_left_ = kSchemaSteps;
    constexpr std::string_view kQuery =
        "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = ?1 AND rootpage > 0";
    int code = SQLITE_OK;
    const Statement statement = prepare(kQuery, code);
    if (!statement) return problem_of(code);
    sqlite3_bind_text(statement.get(), 1, column_.table.data(),
                      static_cast<int>(column_.table.size()), SQLITE_STATIC);
    code = sqlite3_step(statement.get());
    if (code == SQLITE_ROW) return {};
    if (code != SQLITE_DONE) return problem_of(code);
    return fmt::format("it has no table {}", column_.table);
  }

  // A generated column would run the expression that the file gives for it.
  std::string find_column() {
    constexpr int kName = 1;
    constexpr int kHidden = 6;
    int code = SQLITE_OK;
    const Statement statement =
        prepare(fmt::format("PRAGMA {}(\"{}\")", kColumnsOfTable, column_.table), code);
    if (!statement) return problem_of(code);
    while ((code = sqlite3_step(statement.get())) == SQLITE_ROW) {
      const auto* name = sqlite3_column_text(statement.get(), kName);
      if (name == nullptr) throw std::bad_alloc();
      if (column_.column != reinterpret_cast<const char*>(name)) continue;
      const bool stored_as_is = sqlite3_column_int(statement.get(), kHidden) == 0;
      return stored_as_is ? std::string() : fmt::format("{} is a generated column", column_.column);
    }
    if (code != SQLITE_DONE) return problem_of(code);
    return fmt::format("its table has no column {}", column_.column);
  }

  std::string read_rows(std::size_t file_bytes, const std::function<void(ByteView)>& take) {
    sqlite3_limit(db_.get(), SQLITE_LIMIT_LENGTH, static_cast<int>(limits_.value_bytes));
    steps_left_ = static_cast<std::int64_t>(limits_.rows) * kStepsPerRow + kSchemaSteps;
    int code = SQLITE_OK;
    const Statement statement =
        prepare(fmt::format("SELECT \"{}\" FROM \"{}\"", column_.column, column_.table), code);
    if (!statement) return problem_of(code);
    std::uint64_t rows = 0;
    std::size_t bytes = 0;
    while ((code = sqlite3_step(statement.get())) == SQLITE_ROW) {
      if (sqlite3_column_type(statement.get(), 0) != SQLITE_BLOB) return "a value is no blob";
      const void* data = sqlite3_column_blob(statement.get(), 0);
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement.get(), 0));
      if (data == nullptr && size > 0) throw std::bad_alloc();
      bytes += size;
      if (bytes > file_bytes) return "its rows share pages";
      if (++rows > limits_.rows) return fmt::format("more than {} rows", limits_.rows);
      take({static_cast<const std::uint8_t*>(data), size});
    }
    return code == SQLITE_DONE ? std::string() : problem_of(code);
  }

  Statement prepare(std::string_view query, int& code) {
    sqlite3_stmt* raw = nullptr;
    code =
        sqlite3_prepare_v2(db_.get(), query.data(), static_cast<int>(query.size()), &raw, nullptr);
    return Statement(raw);
  }

  // Whatever the schema says, this column, its description and `sqlite_master` are all that is
  // read.
  static int authorize(void* self, int action, const char* first, const char* second,
                       const char* /*database*/, const char* /*trigger*/) {
    if (action == SQLITE_SELECT) return SQLITE_OK;
    if (action == SQLITE_PRAGMA && first == kColumnsOfTable) return SQLITE_OK;
    if (action != SQLITE_READ || first == nullptr || second == nullptr) return SQLITE_DENY;
    const SqliteColumn& wanted = static_cast<const ColumnReader*>(self)->column_;
    const bool allowed = std::string_view(first) == "sqlite_master" ||
                         (first == wanted.table && second == wanted.column);
    return allowed ? SQLITE_OK : SQLITE_DENY;
  }

  static int on_progress(void* self) {
    auto& left = static_cast<ColumnReader*>(self)->steps_left_;
    left -= kStepsPerCall;
    return left < 0 ? 1 : 0;
  }

  const SqliteColumn& column_;
  const SqliteLimits& limits_;
  Database db_;
  std::int64_t steps_left_ = 0;
};

// A file that ends within a page would be read as if zero bytes followed.
bool has_whole_pages(ByteView file) {
  const std::size_t size = std::size_t{file[kPageSize]} << 8 | file[kPageSize + 1];
  return size == 1 ? file.size() % 65'536 == 0 : size >= 512 && file.size() % size == 0;
}

}  // namespace

bool is_sqlite(ByteView file) {
  return as_text(file).starts_with(kMagic);
}

std::string read_sqlite_column(std::span<std::uint8_t> file, const SqliteColumn& column,
                               const SqliteLimits& limits,
                               const std::function<void(ByteView)>& take) {
  if (file.size() < kHeaderBytes || !is_sqlite(file) || !has_whole_pages(file)) {
    return "not a whole SQLite database";
  }
  return ColumnReader(column, limits).read(file, take);
}

}  // namespace bundle::codec
